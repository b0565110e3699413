// What all plots share. A plot is drawn again when the colour scheme changes and for printing.
const WEBGL_FROM = 3000;
const MANY = 1500;
const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "star", "hexagon"];
const TRANSPARENT = "rgba(0,0,0,0)";

const drawn = new Map();
const waiting = [];

const isPrinting = () => document.documentElement.classList.contains("printing");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const seriesName = (number) => `series-${(number % 6) + 1}`;
const series = (number) => css(seriesName(number));

const scatterType = numTrials >= WEBGL_FROM && hasWebgl() ? "scattergl" : "scatter";

function hasWebgl() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
}

// Draw a plot as soon as it is its turn; `makeTraces` and `makeLayout` are asked again whenever it is drawn again.
function show(id, makeTraces, makeLayout) {
  const element = document.getElementById(id);
  const isSmall = element.classList.contains("short");
  const draw = () => {
    const size = isPrinting() ? { width: element.clientWidth, height: element.clientHeight } : {};
    return Plotly.react(element, makeTraces(), { ...commonLayout(), ...size, ...makeLayout() }, settings(id, isSmall));
  };

  drawn.set(id, draw);
  waiting.push(() => {
    // Another choice may have taken the plot off the page by now.
    if (!element.isConnected) return;
    draw();
    element.on("plotly_click", (event) => {
      const trial = event.points[0].customdata;
      if (Number.isInteger(trial)) showTrial(trial);
    });
  });
}

function commonLayout() {
  return {
    font: { family: getComputedStyle(document.body).fontFamily, color: css("ink"), size: 13 },
    paper_bgcolor: TRANSPARENT,
    plot_bgcolor: TRANSPARENT,
    margin: { l: 56, r: 12, t: 26, b: 48 },
    hovermode: "closest",
    hoverlabel: {
      bgcolor: css("panel"),
      bordercolor: css("faint"),
      font: { color: css("ink"), size: 12.5 },
      align: "left",
      namelength: 0,
    },
    legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", font: { size: 13 }, bgcolor: TRANSPARENT },
    showlegend: true,
    modebar: { bgcolor: TRANSPARENT, color: css("faint"), activecolor: css("soft") },
    barcornerradius: 2,
    autosize: true,
  };
}

function settings(id, isSmall) {
  return {
    displayModeBar: isSmall ? false : "hover",
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    toImageButtonOptions: { format: "svg", filename: id },
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };
}

// One plot after the other, from the top of the page, so that it answers in between.
function drawWaiting() {
  const next = waiting.shift();
  if (next) {
    next();
    setTimeout(drawWaiting);
  } else {
    document.documentElement.dataset.drawn = String(Math.round(performance.now()));
  }
}

function drawWaitingNow() {
  while (waiting.length) waiting.shift()();
}

function redrawAll() {
  for (const [id, draw] of drawn) {
    if (document.getElementById(id)) draw();
  }
}

function axis(text, more = {}) {
  return {
    title: { text: plain(text), font: { size: 13, color: css("soft") }, standoff: 10 },
    gridcolor: css("line"),
    linecolor: css("faint"),
    zeroline: false,
    tickfont: { size: 12, color: css("soft") },
    automargin: true,
    ...more,
  };
}

// A trace with a point for each of these trials.
function points(indices, x, y, marker, more = {}) {
  const isCrowded = numTrials > MANY;
  return {
    type: scatterType,
    mode: "markers",
    x: indices.map((i) => x[i]),
    y: indices.map((i) => y[i]),
    customdata: indices,
    text: indices.map(hover),
    hovertemplate: "%{text}<extra></extra>",
    marker: { size: isCrowded ? 4 : 7, opacity: isCrowded ? 0.55 : 0.8, ...marker },
    ...more,
  };
}

// Fill a list of choices; its texts are the titles of figures if nothing else is said.
function offer(id, names, chosen, onChange, text = title) {
  const select = document.getElementById(id);
  for (const name of names) select.append(new Option(text(name), name, false, name === chosen));
  select.addEventListener("change", onChange);
  return select;
}

function faded(color, opacity) {
  const value = parseInt(color.slice(1), 16);
  return `rgba(${value >> 16},${(value >> 8) & 255},${value & 255},${opacity})`;
}

function mixed(color, other, share) {
  const channel = (from, shift) => (parseInt(from.slice(1), 16) >> shift) & 255;
  const mix = (shift) => Math.round((1 - share) * channel(color, shift) + share * channel(other, shift));
  const channels = [16, 8, 0].map((shift) => mix(shift).toString(16).padStart(2, "0"));
  return `#${channels.join("")}`;
}

// From pale to strong by a value of each trial, with a bar that says which is which.
function shades(name, values) {
  return {
    color: values,
    colorscale: [
      [0, css("early")],
      [1, css("late")],
    ],
    colorbar: {
      title: { text: name, side: "right", font: { color: css("soft") } },
      thickness: 10,
      outlinewidth: 0,
      len: 0.6,
      tickfont: { color: css("soft") },
    },
    showscale: values.length > 1,
  };
}
