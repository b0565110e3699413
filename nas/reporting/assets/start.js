// What happens when the page opens.
show("progress", isComparison ? progressOfMany : progressOfOne, progressLayout);
startTable();
tradeOff();
learned();
trainingCurves();
loss();
const redrawAll = () => { for (const [id, draw] of drawn) if (document.getElementById(id)) draw(); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
// On paper the page is narrower and light, which plots take up only if they are drawn before it is laid out.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  while (waiting.length) waiting.shift()();
  redrawAll();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  redrawAll();
});
for (const swatch of document.querySelectorAll(".swatch")) swatch.style.background = `var(--series-${(Number(swatch.dataset.group) % 6) + 1})`;
document.documentElement.dataset.ready = String(Math.round(performance.now()));
drawWaiting();
