// What the search learned: shares of options among the best and among all, and levels by position.
function drawLearned() {
  if (!document.getElementById("learned")) return;

  const groups = data.groups.map((_, number) => number).filter((number) => data.groups[number].learned);
  const redraw = () => {
    showLearned(data.groups[Number(select.value)].learned);
    drawWaiting();
  };
  const select = offer("learned-group", groups, groups[0], redraw, (number) => data.groups[number].name);
  select.parentElement.hidden = groups.length < 2;
  showLearned(data.groups[groups[0]].learned);
}

function showLearned(learned) {
  const about = `${learned.num_top} best of ${learned.num_all} architectures`;
  document.getElementById("learned-count").textContent = about;

  const holder = document.getElementById("learned");
  holder.replaceChildren();
  learned.features.forEach((feature, number) => {
    const id = `learned-${number}`;
    addPanel(holder, id, feature.name, "short");
    show(
      id,
      () => shareBars(feature),
      () => shareLayout(number === 0),
    );
  });

  if (learned.positions.length) {
    const text = "which level stands where: how much more often in the best tenth than in all, in percentage points";
    addPanel(holder, "learned-positions", text, "middle wide");
    show("learned-positions", () => [positionMap(learned)], positionLayout);
  }
}

function addPanel(holder, id, text, size) {
  const heading = document.createElement("h3");
  heading.textContent = text.slice(0, 1).toUpperCase() + text.slice(1);

  const plot = document.createElement("div");
  plot.id = id;
  plot.className = `plot ${size}`;

  const box = document.createElement("div");
  box.className = size.includes("wide") ? "wide" : "";
  box.append(heading, plot);
  holder.append(box);
}

function shareBars(feature) {
  const percent = (share) => 100 * share;
  const bars = { type: "bar", x: feature.options.map(plain) };
  return [
    {
      ...bars,
      name: "all",
      y: feature.of_all.map(percent),
      marker: { color: css("faint") },
      hovertemplate: "%{x}: %{y:.1f} % of all<extra></extra>",
    },
    {
      ...bars,
      name: "best tenth",
      y: feature.of_top.map(percent),
      error_y: whiskers(feature),
      marker: { color: css("series-1") },
      hovertemplate: "%{x}: %{y:.1f} % of the best tenth<extra></extra>",
    },
  ];
}

function whiskers({ of_top, low, high }) {
  return {
    type: "data",
    symmetric: false,
    array: of_top.map((share, k) => Math.max(0, 100 * (high[k] - share))),
    arrayminus: of_top.map((share, k) => Math.max(0, 100 * (share - low[k]))),
    thickness: 1.4,
    width: 3,
    color: css("soft"),
  };
}

function shareLayout(hasLegend) {
  return {
    xaxis: axis("", { type: "category" }),
    yaxis: axis("%", { rangemode: "tozero" }),
    bargap: 0.28,
    bargroupgap: 0.06,
    showlegend: hasLegend,
    margin: { l: 44, r: 6, t: 24, b: 28 },
  };
}

function positionMap({ levels, positions }) {
  const inPoints = positions.map((shares) => shares.map((share) => 100 * share));
  const most = Math.max(1, ...inPoints.flat().map(Math.abs));
  return {
    type: "heatmap",
    x: positions[0].map((_, position) => position),
    y: levels,
    z: inPoints,
    zmin: -most,
    zmax: most,
    xgap: 2,
    ygap: 2,
    colorscale: [
      [0, css("less")],
      [0.5, css("panel")],
      [1, css("more")],
    ],
    colorbar: { thickness: 10, outlinewidth: 0, tickfont: { color: css("soft") } },
    hovertemplate: "level %{y} at position %{x}: %{z:+.0f} points<extra></extra>",
  };
}

function positionLayout() {
  return {
    xaxis: axis("position of the block", { dtick: 1, showgrid: false }),
    yaxis: axis("level", { dtick: 1, showgrid: false }),
    showlegend: false,
    margin: { l: 44, r: 6, t: 10, b: 44 },
  };
}
