// Rewards in the order in which results came: each trial of one run, or the mean over the runs of each group.
const isLost = (i) => trials.result[i] !== null && !isRewarded(i);
const rungName = (rung) => (rungs.length > 1 ? `, rung ${rung}` : "");

function drawProgress() {
  if (!document.getElementById("progress")) return;
  show("progress", isComparison ? progressOfMany : progressOfOne, progressLayout);
}

function progressLayout() {
  // Trials without a reward have a strip of their own below the plot.
  const hasStrip = !isComparison && all.some(isLost);
  const numResults = trials.result.reduce((most, result) => Math.max(most, result ?? 0), 1);
  return {
    xaxis: axis("results", { range: [0, 1.01 * numResults + 0.5], anchor: hasStrip ? "y2" : "y" }),
    yaxis: axis("reward", { domain: [hasStrip ? 0.07 : 0, 1] }),
    yaxis2: axis("", { domain: [0, 0.04], showgrid: false, showticklabels: false, fixedrange: true, range: [-1, 1] }),
  };
}

function progressOfOne() {
  const traces = rungs.flatMap(tracesOfRung);

  const lost = all.filter(isLost);
  if (lost.length) {
    const marker = { color: css("bad"), symbol: "line-ns-open", size: 8, opacity: 0.9 };
    const zeros = new Array(numTrials).fill(0);
    traces.push(points(lost, trials.result, zeros, marker, { name: "no reward", yaxis: "y2" }));
  }
  return traces;
}

function tracesOfRung(rung) {
  const own = all.filter((i) => isRewarded(i) && trials.rung[i] === rung);
  if (!own.length) return [];

  const traces = [];
  const symbol = SYMBOLS[rung % SYMBOLS.length];
  const kinds = [
    { status: "completed", name: "trial", color: series(rungs.length > 1 ? rung : 0) },
    { status: "reused", name: "known already", color: css("faint") },
  ];
  for (const { status, name, color } of kinds) {
    const shown = own.filter((i) => trials.status[i] === status);
    const more = { name: `${name}${rungName(rung)}` };
    if (shown.length) traces.push(points(shown, trials.result, trials.reward, { color, symbol }, more));
  }

  const line = { shape: "hv", width: 2.6, color: series(rungs.length > 1 ? rung : 1) };
  return [...traces, { ...bestSoFar(own), name: `best so far${rungName(rung)}`, line }];
}

// The best so far after each result, as the corners of its steps; it goes on to the last of these trials.
function bestSoFar(indices) {
  const ended = indices.filter((i) => trials.result[i] !== null).sort((a, b) => trials.result[a] - trials.result[b]);
  const results = [];
  const best = [];
  for (const i of ended) {
    if (isRewarded(i) && (!best.length || trials.reward[i] > trials.reward[best.at(-1)])) {
      results.push(trials.result[i]);
      best.push(i);
    }
  }

  if (best.length) {
    results.push(trials.result[ended.at(-1)]);
    best.push(best.at(-1));
  }
  return {
    type: "scatter",
    mode: "lines",
    x: results,
    y: best.map((i) => trials.reward[i]),
    customdata: best,
    text: best.map(hover),
    hovertemplate: "best so far<br>%{text}<extra></extra>",
  };
}

function progressOfMany() {
  return data.groups.flatMap((group, number) => {
    const look = { color: series(number), legendgroup: String(number) };
    return [...singleRuns(group, look), ...band(group, look), mean(group, look)];
  });
}

function singleRuns({ curve }, { color, legendgroup }) {
  const isAlone = curve.runs.length === 1;
  const line = { shape: "hv", width: isAlone ? 2.6 : 1, color };
  return curve.runs.map((run) => {
    const own = all.filter((i) => trials.run[i] === run && trials.rung[i] === 0);
    return { ...bestSoFar(own), legendgroup, showlegend: false, opacity: isAlone ? 1 : 0.28, line };
  });
}

// The interval of the mean: two lines that cannot be seen, the second filled down to the first.
function band({ curve }, { color, legendgroup }) {
  if (!curve.low.length) return [];

  const edge = {
    type: "scatter",
    mode: "lines",
    x: curve.results,
    line: { width: 0, shape: "hv" },
    hoverinfo: "skip",
    showlegend: false,
    legendgroup,
  };
  return [
    { ...edge, y: curve.low },
    { ...edge, y: curve.high, fill: "tonexty", fillcolor: faded(color, 0.2) },
  ];
}

function mean({ name, curve }, { color, legendgroup }) {
  const text = curve.results.map((numResults, k) => {
    const limits = curve.low.length ? `, 95 % interval ${curve.low[k].toFixed(4)} to ${curve.high[k].toFixed(4)}` : "";
    return `<b>${plain(name)}</b> after ${numResults} results<br>mean ${curve.mean[k].toFixed(4)}${limits}`;
  });
  return {
    type: "scatter",
    mode: "lines",
    x: curve.results,
    y: curve.mean,
    name: `${plain(name)} (${curve.runs.length})`,
    line: { shape: "hv", width: 2.8, color },
    text,
    hovertemplate: "%{text}<extra></extra>",
    legendgroup,
  };
}
