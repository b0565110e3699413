// The data of the page, and how its values are written. Text reaches the page by textContent or `plain`, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const trials = data.trials;
const numTrials = trials.trial.length;
const all = Array.from({ length: numTrials }, (_, i) => i);

const groupOf = data.runs.map((run) => data.groups.findIndex((group) => group.name === run.group));
const isComparison = data.runs.length > 1;
const runName = (i) => data.runs[trials.run[i]].name;
const isRewarded = (i) => trials.reward[i] !== null;
const rungs = [...new Set(trials.rung)].sort((a, b) => a - b);

const figures = new Map(data.figures.map((figure) => [figure.name, figure]));
const TEXT_TITLES = { run: "run", status: "status", spec: data.spec_head, key: "key", failure: "failure" };
const title = (name) => figures.get(name)?.title ?? TEXT_TITLES[name];

const isMissing = (value) => value === null || value === undefined || value === "";
const valuesOf = (name) => (Object.hasOwn(trials.metrics, name) ? trials.metrics[name] : trials[name]);

// A metric that is the reward itself, as AP often is, need not be shown beside it.
const isReward = (name, i) => Object.hasOwn(trials.metrics, name) && trials.metrics[name][i] === trials.reward[i];

function figureText(name, value) {
  if (isMissing(value)) return "";

  const style = figures.get(name).style;
  if (style === "whole") return String(value);
  if (style === "seconds") return value < 10 ? value.toPrecision(2) : value.toFixed(0);

  const sizes = [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "K"],
  ];
  const size = sizes.find(([limit]) => Math.abs(value) >= 0.9995 * limit);
  if (size) return `${Number((value / size[0]).toPrecision(3))}${size[1]}`;
  if (Number.isInteger(value) && Math.abs(value) > 1) return String(value);

  // Four decimals would make nothing of a small figure of which only its task knows the size.
  const isTiny = style === "adaptive" && value !== 0 && Math.abs(value) < 0.001;
  return isTiny ? value.toPrecision(3) : value.toFixed(4);
}

// Plotly reads a few tags and entities in its texts.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

// The text under the mouse.
function hover(i) {
  const where = isComparison ? `, ${plain(runName(i))}` : "";
  const lines = [`<b>trial ${trials.trial[i]}</b>${where}: ${trials.status[i]}`];

  const shown = data.figures.filter(({ name, is_hovered }) => {
    return is_hovered && !isMissing(valuesOf(name)[i]) && !isReward(name, i);
  });
  lines.push(shown.map(({ name }) => `${plain(title(name))} ${figureText(name, valuesOf(name)[i])}`).join(", "));

  if (trials.failure[i]) lines.push(...wrapped(trials.failure[i]).map(plain));
  lines.push(`<b>${plain(trials.spec[i])}</b>`, trials.key[i]);
  return lines.filter(Boolean).join("<br>");
}

function wrapped(text) {
  return text.slice(0, 300).match(/.{1,80}(?:\s|$)|.{1,80}/g) ?? [];
}
