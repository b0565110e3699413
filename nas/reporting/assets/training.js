// Losses: while each trial trained, and the last one against the reward.
// Curves of about the same reward are one trace, with gaps between them, as a trace for each is slow.
const NUM_SHADES = 12;

function drawTrainingCurves() {
  if (!document.getElementById("training")) return;

  const { index, loss } = data.loss_curves;
  const shownRungs = rungs.filter((rung) => index.some((i) => trials.rung[i] === rung));
  const redraw = () => drawn.get("training")();
  const select = offer("training-rung", shownRungs, shownRungs.at(-1), redraw, (rung) => `rung ${rung}`);
  select.closest(".controls").hidden = shownRungs.length < 2;

  const isPositive = loss.flat().every((value) => value > 0);
  show(
    "training",
    () => trainingCurves(Number(select.value)),
    () => ({
      xaxis: axis("share of the training", { range: [0, 100], ticksuffix: " %" }),
      yaxis: axis("training loss", { type: isPositive ? "log" : "linear", minorloglabels: "complete" }),
    }),
  );
}

function trainingCurves(rung) {
  const { index, loss, done } = data.loss_curves;
  const found = index.map((i, c) => ({ i, values: loss[c], end: 100 * done[c] }));
  const own = found.filter(({ i }) => trials.rung[i] === rung);
  const stopped = own.filter(({ i }) => trials.status[i] === "stopped");
  // The best come first there; they are drawn last, so that they lie on top.
  const curves = own.filter(({ i }) => trials.status[i] !== "stopped");
  curves.reverse();

  const rewards = curves.map(({ i }) => trials.reward[i]);
  const lowest = Math.min(...rewards);
  const range = Math.max(...rewards) - lowest;
  const isCrowded = curves.length > 60;

  const behind = curveTrace(faded(css("faint"), 0.6), true);
  for (const curve of stopped) addCurve(behind, curve);
  const traces = [behind, ...shadedLines(isCrowded)];
  for (const curve of curves) {
    const share = range ? (trials.reward[curve.i] - lowest) / range : 1;
    addCurve(traces[1 + Math.round(share * (NUM_SHADES - 1))], curve);
  }
  return [...traces.filter((trace) => trace.x.length), lastLosses(curves, rewards, isCrowded)];
}

const curveLook = {
  type: "scatter",
  hovertemplate: "%{text}<br>loss %{y:.4~g} at %{x:.0f} %<extra></extra>",
  showlegend: false,
};

function shadedLines(isCrowded) {
  return Array.from({ length: NUM_SHADES }, (_, number) => {
    const color = mixed(css("early"), css("late"), number / (NUM_SHADES - 1));
    return curveTrace(faded(color, isCrowded ? 0.5 : 1), isCrowded);
  });
}

function curveTrace(color, isThin) {
  const look = { width: isThin ? 1 : 1.6, color };
  return { ...curveLook, mode: "lines", x: [], y: [], customdata: [], text: [], line: look };
}

// Add the points of a trial's curve to a trace, and a gap behind them; one that was stopped ends before the others.
function addCurve(trace, { i, values, end }) {
  const text = hover(i);
  values.forEach((value, part) => {
    trace.x.push((end * (part + 1)) / values.length);
    trace.y.push(value);
  });
  trace.x.push(null);
  trace.y.push(null);

  const num = values.length + 1;
  trace.customdata.push(...new Array(num).fill(i));
  trace.text.push(...new Array(num).fill(text));
}

// A point at the end of each curve, in the shade of its reward.
function lastLosses(curves, rewards, isCrowded) {
  const indices = curves.map(({ i }) => i);
  const ends = [];
  for (const { i, values } of curves) ends[i] = values.at(-1);
  const marker = { ...shades("reward", rewards), size: isCrowded ? 4 : 6, opacity: 1 };
  return points(indices, new Array(numTrials).fill(100), ends, marker, { ...curveLook, cliponaxis: false });
}

function drawLoss() {
  if (!document.getElementById("loss")) return;

  const losses = trials.metrics.loss;
  const shown = all.filter((i) => trials.status[i] === "completed" && !isMissing(losses[i]));
  show(
    "loss",
    () => {
      return data.groups.map((group, number) => {
        const own = shown.filter((i) => groupOf[trials.run[i]] === number);
        const more = { name: plain(group.name), showlegend: isComparison };
        return points(own, losses, trials.reward, { color: series(number) }, more);
      });
    },
    () => ({ xaxis: axis(title("loss")), yaxis: axis("reward") }),
  );
}
