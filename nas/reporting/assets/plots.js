// Every plot: drawn anew when the colour scheme changes and for printing.
const WEBGL_FROM = 3000;
const drawn = new Map();
const waiting = [];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const isPrinting = () => document.documentElement.classList.contains("printing");
const series = (i) => css(`series-${(i % 6) + 1}`);
const hasWebgl = (() => {
  try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
})();
const scatterType = (num) => (num >= WEBGL_FROM && hasWebgl ? "scattergl" : "scatter");

function axis(text, more = {}) {
  return {
    title: { text: plain(text), font: { size: 13, color: css("soft") }, standoff: 10 }, gridcolor: css("line"), linecolor: css("faint"),
    zeroline: false, tickfont: { size: 12, color: css("soft") }, automargin: true, ...more,
  };
}

function show(id, makeTraces, makeLayout) {
  const element = document.getElementById(id);
  if (!element) return;
  const isSmall = element.classList.contains("short");
  const draw = () => Plotly.react(element, makeTraces(), {
    font: { family: getComputedStyle(document.body).fontFamily, color: css("ink"), size: 13 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 56, r: 12, t: 26, b: 48 }, hovermode: "closest",
    hoverlabel: { bgcolor: css("panel"), bordercolor: css("faint"), font: { color: css("ink"), size: 12.5 }, align: "left", namelength: 0 },
    legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", font: { size: 13 }, bgcolor: "rgba(0,0,0,0)" }, showlegend: true,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("faint"), activecolor: css("soft") }, barcornerradius: 2, autosize: true,
    ...(isPrinting() ? { width: element.clientWidth, height: element.clientHeight } : {}), ...makeLayout(),
  }, {
    displayModeBar: isSmall ? false : "hover",
    responsive: true, displaylogo: false, showSendToCloud: false, toImageButtonOptions: { format: "svg", filename: id },
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  });
  drawn.set(id, draw);
  waiting.push(() => {
    if (!element.isConnected) return;
    draw();
    element.on("plotly_click", (event) => {
      const trial = event.points[0].customdata;
      if (Number.isInteger(trial)) showTrial(trial);
    });
  });
}

// One plot after the other, from the top of the page, so that it answers in between.
function drawWaiting() {
  const next = waiting.shift();
  if (next) { next(); setTimeout(drawWaiting); } else { document.documentElement.dataset.drawn = String(Math.round(performance.now())); }
}

function points(rows, x, y, marker, more = {}) {
  return {
    type: scatterType(numTrials), mode: "markers", x: rows.map((i) => x[i]), y: rows.map((i) => y[i]), customdata: rows,
    text: rows.map(hover), hovertemplate: "%{text}<extra></extra>", marker: { size: numTrials > 1500 ? 4 : 7, opacity: numTrials > 1500 ? 0.55 : 0.8, ...marker }, ...more,
  };
}

// The best so far after each result, as the corners of its steps.
function bestSoFar(rows) {
  const results = rows.filter((i) => trials.result[i] !== null).sort((a, b) => trials.result[a] - trials.result[b]);
  const x = [], y = [], at = [];
  for (const i of results) {
    if (isRewarded(i) && (!y.length || trials.reward[i] > y.at(-1))) { x.push(trials.result[i]); y.push(trials.reward[i]); at.push(i); }
  }
  if (x.length && results.length) { x.push(trials.result[results.at(-1)]); y.push(y.at(-1)); at.push(at.at(-1)); }
  return { x, y, customdata: at, text: at.map(hover), hovertemplate: "best so far<br>%{text}<extra></extra>", type: "scatter", mode: "lines" };
}

const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "star", "hexagon"];
const rungs = [...new Set(trials.rung)].sort((a, b) => a - b);
const rungName = (rung) => (rungs.length > 1 ? `, rung ${rung}` : "");

function progressOfOne() {
  const traces = [];
  for (const rung of rungs) {
    const rows = all.filter((i) => isRewarded(i) && trials.rung[i] === rung);
    const symbol = SYMBOLS[rung % SYMBOLS.length];
    const kinds = [["completed", series(rungs.length > 1 ? rung : 0), 1], ["reused", css("faint"), 0.8]];
    for (const [status, color] of kinds) {
      const own = rows.filter((i) => trials.status[i] === status);
      if (own.length) traces.push(points(own, trials.result, trials.reward, { color, symbol }, { name: `${status === "reused" ? "known already" : "trial"}${rungName(rung)}` }));
    }
    if (rows.length) traces.push({ ...bestSoFar(rows), name: `best so far${rungName(rung)}`, line: { shape: "hv", width: 2.6, color: series(rungs.length > 1 ? rung : 1) } });
  }
  const lost = all.filter((i) => trials.result[i] !== null && !isRewarded(i));
  if (lost.length) {
    traces.push(points(lost, trials.result, lost.reduce((y, i) => { y[i] = 0; return y; }, []), { color: css("bad"), symbol: "line-ns-open", size: 8, opacity: 0.9 }, { name: "no reward", yaxis: "y2" }));
  }
  return traces;
}

function progressLayout() {
  const lost = !isComparison && all.some((i) => trials.result[i] !== null && !isRewarded(i));
  const numResults = trials.result.reduce((most, result) => Math.max(most, result ?? 0), 1);
  return {
    xaxis: axis("results", { range: [0, 1.01 * numResults + 0.5], anchor: lost ? "y2" : "y" }), yaxis: axis("reward", { domain: [lost ? 0.07 : 0, 1] }),
    yaxis2: axis("", { domain: [0, 0.04], showgrid: false, showticklabels: false, fixedrange: true, range: [-1, 1] }),
  };
}

function progressOfMany() {
  const traces = [];
  data.groups.forEach((group, g) => {
    const { runs, results, mean, low, high } = group.curve, color = series(g), about = { legendgroup: String(g) };
    for (const run of runs) {
      const rows = all.filter((i) => trials.run[i] === run && trials.rung[i] === 0);
      traces.push({ ...bestSoFar(rows), ...about, showlegend: false, opacity: runs.length > 1 ? 0.28 : 1, line: { shape: "hv", width: runs.length > 1 ? 1 : 2.6, color } });
    }
    if (low.length) {
      traces.push({ ...about, type: "scatter", mode: "lines", x: results, y: low, line: { width: 0, shape: "hv" }, hoverinfo: "skip", showlegend: false });
      traces.push({ ...about, type: "scatter", mode: "lines", x: results, y: high, line: { width: 0, shape: "hv" }, fill: "tonexty", fillcolor: faded(color, 0.2), hoverinfo: "skip", showlegend: false });
    }
    traces.push({
      ...about, type: "scatter", mode: "lines", x: results, y: mean, name: `${plain(group.name)} (${runs.length})`, line: { shape: "hv", width: 2.8, color },
      text: results.map((n, k) => `<b>${plain(group.name)}</b> after ${n} results<br>mean ${mean[k].toFixed(4)}${low.length ? `, 95 % interval ${low[k].toFixed(4)} to ${high[k].toFixed(4)}` : ""}`),
      hovertemplate: "%{text}<extra></extra>",
    });
  });
  return traces;
}

function faded(color, opacity) {
  const value = parseInt(color.slice(1), 16);
  return `rgba(${value >> 16},${(value >> 8) & 255},${value & 255},${opacity})`;
}

// From pale to strong by a value of each trial, with a bar that says which is which.
function shades(name, values) {
  const bar = { title: { text: name, side: "right", font: { color: css("soft") } }, thickness: 10, outlinewidth: 0, len: 0.6, tickfont: { color: css("soft") } };
  return { color: values, colorscale: [[0, css("early")], [1, css("late")]], colorbar: bar, showscale: values.length > 1 };
}

function mixed(color, other, share) {
  const channel = (from, shift) => (parseInt(from.slice(1), 16) >> shift) & 255;
  const mix = (shift) => Math.round((1 - share) * channel(color, shift) + share * channel(other, shift));
  return `#${[16, 8, 0].map((shift) => mix(shift).toString(16).padStart(2, "0")).join("")}`;
}

// Trials that no other beats on both axes; costs are to be low, all else high.
function front(rows, x, y, signX, signY) {
  const sorted = [...rows].sort((a, b) => signX * (x[b] - x[a]) || signY * (y[b] - y[a]));
  const kept = [];
  for (const i of sorted) {
    if (!kept.length || signY * (y[i] - y[kept.at(-1)]) > 0) kept.push(i);
  }
  return kept;
}

const axisNames = ["reward", ...Object.keys(trials.metrics), "seconds", "trial"].filter(
  (name, at, names) => names.indexOf(name) === at && all.some((i) => isRewarded(i) && numbersOf(name)[i] !== null),
);
const sign = (name) => (COSTS.includes(name) ? -1 : 1);
const hasDirection = (name) => COSTS.includes(name) || name === "reward" || /^a[pr]/.test(name);

function offer(id, names, chosen, onChange, text = title) {
  const select = document.getElementById(id);
  for (const name of names) select.append(new Option(text(name), name, false, name === chosen));
  select.addEventListener("change", onChange);
  return select;
}

function tradeOff() {
  if (!document.getElementById("trade-off")) return;
  const redraw = () => drawn.get("trade-off")();
  const x = offer("axis-x", axisNames, axisNames.find((name) => name === "macs") ?? axisNames.at(-1), redraw);
  const y = offer("axis-y", axisNames, axisNames.includes("ap") ? "ap" : "reward", redraw);
  const rung = offer("axis-rung", rungs, rungs.at(-1), redraw, (value) => `rung ${value}`);
  rung.parentElement.hidden = rungs.length < 2;
  show("trade-off", () => {
    const [xs, ys] = [numbersOf(x.value), numbersOf(y.value)];
    const rows = all.filter((i) => trials.status[i] === "completed" && trials.rung[i] === Number(rung.value) && xs[i] !== null && ys[i] !== null);
    const traces = [];
    if (isComparison) {
      data.groups.forEach((group, g) => {
        const own = rows.filter((i) => groupOf[trials.run[i]] === g);
        if (own.length) traces.push(points(own, xs, ys, { color: series(g) }, { name: plain(group.name) }));
      });
    } else if (rows.length) {
      traces.push(points(rows, xs, ys, shades("trial", rows.map((i) => trials.trial[i])), { name: "trial", showlegend: false }));
    }
    if (rows.length && hasDirection(x.value) && hasDirection(y.value) && x.value !== y.value) {
      const kept = front(rows, xs, ys, sign(x.value), sign(y.value));
      const color = css(isComparison ? "ink" : "series-2"), shape = sign(x.value) < 0 ? "hv" : "vh";
      traces.push({ ...points(kept, xs, ys, { color: css("paper"), size: 9, opacity: 1, line: { width: 2.2, color } }), type: "scatter", mode: "lines+markers", line: { shape, width: 2, color }, name: `front: ${kept.length} that none beats in both` });
    }
    return traces;
  }, () => ({ xaxis: axis(title(x.value)), yaxis: axis(title(y.value)) }));
}

function learned() {
  if (!document.getElementById("learned")) return;
  const names = data.groups.map((group, g) => (group.learned ? g : -1)).filter((g) => g >= 0);
  const fill = () => {
    const group = data.groups[Number(select.value)], found = group.learned, holder = document.getElementById("learned");
    holder.replaceChildren();
    const about = `${found.num_top} best of ${found.num_all} architectures`;
    document.getElementById("learned-count").textContent = about;
    found.features.forEach((feature, at) => {
      const id = `learned-${at}`;
      panel(holder, id, feature.name, "short");
      const percent = (shares) => shares.map((share) => 100 * share);
      const error = feature.low.length ? { type: "data", symmetric: false, array: feature.of_top.map((share, k) => Math.max(0, 100 * (feature.high[k] - share))), arrayminus: feature.of_top.map((share, k) => Math.max(0, 100 * (share - feature.low[k]))), thickness: 1.4, width: 3, color: css("ink") } : {};
      show(id, () => [
        { type: "bar", name: "all", x: feature.options, y: percent(feature.of_all), marker: { color: css("faint") }, hovertemplate: "%{x}: %{y:.1f} % of all<extra></extra>" },
        { type: "bar", name: "best tenth", x: feature.options, y: percent(feature.of_top), error_y: { ...error, color: css("soft") }, marker: { color: css("series-1") }, hovertemplate: "%{x}: %{y:.1f} % of the best tenth<extra></extra>" },
      ], () => ({ xaxis: axis("", { type: "category" }), yaxis: axis("%", { rangemode: "tozero" }), bargap: 0.28, bargroupgap: 0.06, showlegend: at === 0, margin: { l: 44, r: 6, t: 24, b: 28 } }));
    });
    if (found.positions.length) {
      panel(holder, "learned-positions", "which level stands where: how much more often in the best tenth than in all, in percentage points", "middle wide");
      const most = Math.max(0.01, ...found.positions.flat().map(Math.abs)) * 100;
      show("learned-positions", () => [{
        type: "heatmap", x: found.positions[0].map((_, at) => at), y: found.levels, z: found.positions.map((row) => row.map((value) => 100 * value)), zmin: -most, zmax: most, xgap: 2, ygap: 2,
        colorscale: [[0, css("less")], [0.5, css("panel")], [1, css("more")]], hovertemplate: "level %{y} at position %{x}: %{z:+.0f} points<extra></extra>",
        colorbar: { thickness: 10, outlinewidth: 0, tickfont: { color: css("soft") } },
      }], () => ({ xaxis: axis("position of the block", { dtick: 1, showgrid: false }), yaxis: axis("level", { dtick: 1, showgrid: false }), showlegend: false, margin: { l: 44, r: 6, t: 10, b: 44 } }));
    }
  };
  const select = offer("learned-group", names, names[0], () => { fill(); drawWaiting(); }, (g) => data.groups[g].name);
  select.parentElement.hidden = names.length < 2;
  fill();
}

function panel(holder, id, text, size) {
  const box = document.createElement("div"), heading = document.createElement("h3"), plot = document.createElement("div");
  box.className = size.includes("wide") ? "wide" : "";
  heading.textContent = text[0].toUpperCase() + text.slice(1);
  plot.id = id;
  plot.className = `plot ${size}`;
  box.append(heading, plot);
  holder.append(box);
}

// The curves of about the same reward are one trace, with gaps between them, as a trace for each is slow. The best lie on top.
const NUM_SHADES = 12;

function trainingCurves() {
  if (!document.getElementById("training")) return;
  const { row, loss } = data.loss_curves, some = rungs.filter((rung) => row.some((i) => trials.rung[i] === rung));
  const rung = offer("training-rung", some, some.at(-1), () => drawn.get("training")(), (value) => `rung ${value}`);
  rung.closest(".controls").hidden = some.length < 2;
  const isPositive = loss.flat().every((value) => value > 0);
  show("training", () => {
    const curves = row.map((_, c) => c).filter((c) => trials.rung[row[c]] === Number(rung.value)).reverse();
    const rows = curves.map((c) => row[c]), rewards = rows.map((i) => trials.reward[i]);
    const low = Math.min(...rewards), range = Math.max(...rewards) - low, isCrowded = rows.length > 60;
    const common = { type: "scatter", hovertemplate: "%{text}<br>loss %{y:.4~g} at %{x:.0f} %<extra></extra>", showlegend: false };
    const color = (at) => faded(mixed(css("early"), css("late"), at / (NUM_SHADES - 1)), isCrowded ? 0.5 : 1);
    const traces = Array.from({ length: NUM_SHADES }, (_, at) => ({
      ...common, mode: "lines", x: [], y: [], customdata: [], text: [], line: { width: isCrowded ? 1 : 1.6, color: color(at) },
    }));
    for (const c of curves) {
      const i = row[c], share = range ? (trials.reward[i] - low) / range : 1, text = hover(i);
      const trace = traces[Math.round(share * (NUM_SHADES - 1))];
      [...loss[c], null].forEach((value, at) => {
        trace.x.push(value === null ? null : (100 * (at + 1)) / loss[c].length);
        trace.y.push(value);
        trace.customdata.push(i);
        trace.text.push(text);
      });
    }
    const ends = curves.reduce((y, c) => { y[row[c]] = loss[c].at(-1); return y; }, []);
    const atEnd = points(rows, ends.map(() => 100), ends, { ...shades("reward", rewards), size: isCrowded ? 4 : 6, opacity: 1 }, { ...common, cliponaxis: false });
    return [...traces.filter((trace) => trace.x.length), atEnd];
  }, () => ({
    xaxis: axis("share of the training", { range: [0, 100], ticksuffix: " %" }),
    yaxis: axis("training loss", { type: isPositive ? "log" : "linear", minorloglabels: "complete" }),
  }));
}

function loss() {
  const rows = all.filter((i) => trials.status[i] === "completed" && trials.metrics.loss && trials.metrics.loss[i] !== null);
  show("loss", () => data.groups.map((group, g) => points(rows.filter((i) => groupOf[trials.run[i]] === g), trials.metrics.loss ?? [], trials.reward, { color: series(g) }, { name: plain(group.name), showlegend: isComparison })),
    () => ({ xaxis: axis(title("loss")), yaxis: axis("reward") }));
}
