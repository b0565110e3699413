// Loads the page again when its run has more to show, but not while somebody uses it. Only a served page has it.
const ASK_EVERY_MS = 3000;
const UNUSED_FOR_MS = 5000;
const live = document.getElementById("live");
let lastUse = Number.NEGATIVE_INFINITY;
for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, () => {
    lastUse = performance.now();
  });
}

async function follow() {
  try {
    const state = await (await fetch("state", { cache: "no-store" })).text();
    const isInUse = performance.now() - lastUse < UNUSED_FOR_MS || document.querySelector("dialog[open]") !== null;
    if (state === live.dataset.state) {
      live.textContent = "Follows the run: new results are shown by themselves.";
    } else if (isInUse) {
      live.textContent = "There is more: it is shown when the page has not been used for five seconds.";
    } else {
      location.reload();
      return;
    }
  } catch {
    live.textContent = "The report is no longer served; this is what it last showed.";
  }
  setTimeout(follow, ASK_EVERY_MS);
}
follow();
