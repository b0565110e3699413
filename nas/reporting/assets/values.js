// What the file holds, and how values are written. Text reaches the page by textContent or `plain`, never as HTML.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const trials = data.trials;
const numTrials = trials.trial.length;
const groupOf = data.runs.map((run) => data.groups.findIndex((group) => group.name === run.group));
const isComparison = data.runs.length > 1;
const all = Array.from({ length: numTrials }, (_, i) => i);
const isRewarded = (i) => trials.reward[i] !== null;

const TITLES = {
  trial: "trial", run: "run", result: "result", status: "status", rung: "rung", reward: "reward", seconds: "seconds",
  macs: "multiply-adds", params: "parameters", latency_ms: "latency, ms", loss: "final training loss", ap: "AP", ap50: "AP50",
  ap75: "AP75", key: "key", spec: "levels (r: residual) | outputs", failure: "failure",
};
const COSTS = ["macs", "params", "seconds", "latency_ms", "loss"];
const title = (name) => (Object.hasOwn(TITLES, name) ? TITLES[name] : name);
const numbersOf = (name) => (Object.hasOwn(trials.metrics, name) ? trials.metrics[name] : trials[name]);

function figure(name, value) {
  if (value === null || value === undefined) return "";
  if (["trial", "result", "rung"].includes(name)) return String(value);
  if (name === "seconds") return value < 10 ? value.toPrecision(2) : value.toFixed(0);
  const size = [[1e9, "B"], [1e6, "M"], [1e3, "K"]].find(([limit]) => Math.abs(value) >= 0.9995 * limit);
  if (size) return `${Number((value / size[0]).toPrecision(3))}${size[1]}`;
  return Number.isInteger(value) && Math.abs(value) > 1 ? String(value) : value.toFixed(4);
}

// Plotly reads a few tags and entities in its texts.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function hover(i) {
  const where = isComparison ? `, ${plain(data.runs[trials.run[i]].name)}` : "";
  const figures = ["reward", "ap", "macs", "params", "latency_ms", "seconds"]
    .filter((name) => numbersOf(name) && numbersOf(name)[i] !== null && !(name === "ap" && trials.metrics.ap[i] === trials.reward[i]))
    .map((name) => `${title(name)} ${figure(name, numbersOf(name)[i])}`);
  const lines = [`<b>trial ${trials.trial[i]}</b>${where}: ${trials.status[i]}`, figures.join(", ")];
  if (trials.failure[i]) lines.push(...wrapped(trials.failure[i]).map(plain));
  return [...lines, `<b>${plain(trials.spec[i])}</b>`].filter(Boolean).join("<br>");
}

function wrapped(text) {
  return text.slice(0, 300).match(/.{1,80}(?:\s|$)|.{1,80}/g) ?? [];
}
