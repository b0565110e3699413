// What runs when the page opens.
drawProgress();
startTable();
drawTradeOff();
drawLearned();
drawTrainingCurves();
drawLoss();
startCards();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

// On paper the page is narrower and light, which plots take up only if they are drawn before it is laid out.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  drawWaitingNow();
  redrawAll();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  redrawAll();
});

for (const swatch of document.querySelectorAll(".swatch")) {
  swatch.style.background = `var(--${seriesName(Number(swatch.dataset.group))})`;
}
document.documentElement.dataset.ready = String(Math.round(performance.now()));
drawWaiting();
