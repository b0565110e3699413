// One figure of the trials against another, with the front: trials that no other beats on both axes.
const axisNames = ["reward", ...Object.keys(trials.metrics), "seconds", "trial"].filter((name) => {
  return all.some((i) => isRewarded(i) && !isMissing(valuesOf(name)[i]));
});

const betterOf = (name) => figures.get(name).better;
const sign = (name) => (betterOf(name) === "lower" ? -1 : 1);

function drawTradeOff() {
  if (!document.getElementById("trade-off")) return;

  const redraw = () => drawn.get("trade-off")();
  const cost = axisNames.find((name) => name === "macs") ?? axisNames.find((name) => betterOf(name) === "lower");
  const x = offer("axis-x", axisNames, cost ?? axisNames.at(-1), redraw);
  const y = offer("axis-y", axisNames, axisNames.includes("ap") ? "ap" : "reward", redraw);
  const rung = offer("axis-rung", rungs, rungs.at(-1), redraw, (value) => `rung ${value}`);
  rung.parentElement.hidden = rungs.length < 2;

  show(
    "trade-off",
    () => tradeOff(x.value, y.value, Number(rung.value)),
    () => ({ xaxis: axis(title(x.value)), yaxis: axis(title(y.value)) }),
  );
}

function tradeOff(xName, yName, rung) {
  const [x, y] = [valuesOf(xName), valuesOf(yName)];
  const shown = all.filter((i) => {
    return trials.status[i] === "completed" && trials.rung[i] === rung && !isMissing(x[i]) && !isMissing(y[i]);
  });
  if (!shown.length) return [];

  const traces = isComparison ? pointsOfGroups(shown, x, y) : [pointsByTrial(shown, x, y)];
  const haveDirections = betterOf(xName) !== "neither" && betterOf(yName) !== "neither";
  if (haveDirections && xName !== yName) traces.push(frontLine(shown, x, y, sign(xName), sign(yName)));
  return traces;
}

function pointsByTrial(shown, x, y) {
  const numbers = shown.map((i) => trials.trial[i]);
  return points(shown, x, y, shades("trial", numbers), { name: "trial", showlegend: false });
}

function pointsOfGroups(shown, x, y) {
  const traces = [];
  data.groups.forEach((group, number) => {
    const own = shown.filter((i) => groupOf[trials.run[i]] === number);
    if (own.length) traces.push(points(own, x, y, { color: series(number) }, { name: plain(group.name) }));
  });
  return traces;
}

function frontLine(shown, x, y, signX, signY) {
  const best = front(shown, x, y, signX, signY);
  const color = css(isComparison ? "ink" : "series-2");
  const marker = { color: css("paper"), size: 9, opacity: 1, line: { width: 2.2, color } };
  return points(best, x, y, marker, {
    type: "scatter",
    mode: "lines+markers",
    line: { shape: signX < 0 ? "hv" : "vh", width: 2, color },
    name: `front: ${best.length} that none beats in both`,
  });
}

// Walk from the best in x to the worst: on the front is what is better in y than all before.
function front(indices, x, y, signX, signY) {
  const sortedByX = [...indices].sort((a, b) => signX * (x[b] - x[a]) || signY * (y[b] - y[a]));
  const best = [];
  for (const i of sortedByX) {
    if (!best.length || signY * (y[i] - y[best.at(-1)]) > 0) best.push(i);
  }
  return best;
}
