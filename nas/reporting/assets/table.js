// The table of all trials: sorted, filtered, a page at a time.
const cell = (name, i) => (name === "run" ? runName(i) : valuesOf(name)?.[i]);
const isNumber = (name) => figures.has(name);

const columns = tableColumns();
const searchable = [...new Set([...columns, "run", "rung", "result", ...Object.keys(trials.metrics)])];
const table = {
  sort: columns.includes("reward") ? "reward" : "trial",
  isRising: !columns.includes("reward"),
  page: 0,
  found: all,
};

// What the free text of the filter is looked for in.
const searchedText = all.map((i) => {
  const texts = [trials.trial[i], runName(i), trials.status[i], trials.spec[i], trials.key[i], trials.failure[i]];
  return texts.join(" ").toLowerCase();
});

function tableColumns() {
  const numbers = data.figures.filter((figure) => figure.is_column).map((figure) => figure.name);
  const names = ["trial", "run", "status", ...numbers.filter((name) => name !== "trial"), "spec", "key", "failure"];

  const hidden = ["result"];
  if (!isComparison) hidden.push("run");
  if (rungs.length === 1) hidden.push("rung");

  const rewarded = all.filter(isRewarded);
  const repeatsReward = (name) => rewarded.length > 0 && rewarded.every((i) => isReward(name, i));
  const isFilled = (name) => all.some((i) => !isMissing(cell(name, i)));
  return names.filter((name) => !hidden.includes(name) && !repeatsReward(name) && isFilled(name));
}

// One word of the filter: `reward>0.8`, `macs<80M`, `status:failed`, or text that stands in the line.
function condition(word) {
  const found = /^(\w+)(>=|<=|!=|>|<|=|:)(.+)$/.exec(word);
  if (!found || !searchable.includes(found[1])) return (i) => searchedText[i].includes(word.toLowerCase());

  const [, name, sign, text] = found;
  const number = /^-?[\d.]+(e[-+]?\d+)?([kmb]?)$/i.exec(text);
  if (sign === ":" || !number || !isNumber(name)) {
    const sought = text.toLowerCase();
    const has = (i) => `${cell(name, i) ?? ""}`.toLowerCase().includes(sought);
    return sign === "!=" ? (i) => !has(i) : has;
  }

  const limit = parseFloat(text) * { "": 1, k: 1e3, m: 1e6, b: 1e9 }[number[2].toLowerCase()];
  const comparisons = {
    ">": (value) => value > limit,
    "<": (value) => value < limit,
    ">=": (value) => value >= limit,
    "<=": (value) => value <= limit,
    "=": (value) => value === limit,
    "!=": (value) => value !== limit,
  };
  return (i) => !isMissing(cell(name, i)) && comparisons[sign](cell(name, i));
}

function filtered() {
  const words = document.getElementById("filter").value.match(/"[^"]+"|\S+/g) ?? [];
  const conditions = words.map((word) => condition(word.replace(/^"|"$/g, "")));
  const status = document.getElementById("status").value;
  return all.filter((i) => (!status || trials.status[i] === status) && conditions.every((holds) => holds(i)));
}

function sorted(indices) {
  const direction = table.isRising ? 1 : -1;
  const keys = all.map((i) => cell(table.sort, i));

  return indices.sort((a, b) => {
    const [first, second] = [keys[a], keys[b]];
    // What is empty comes last, either way.
    if (isMissing(first) || isMissing(second)) return isMissing(first) - isMissing(second) || a - b;
    const order = typeof first === "string" ? first.localeCompare(second) : first - second;
    return direction * order || a - b;
  });
}

function line(i) {
  const row = document.createElement("tr");
  for (const name of columns) {
    const box = document.createElement("td");
    const value = cell(name, i);
    const classes = { spec: "spec", key: "key", failure: "text", status: `status-${value}` };
    box.textContent = isNumber(name) ? figureText(name, value) : value;
    box.className = isNumber(name) ? "number" : (classes[name] ?? "");
    row.append(box);
  }
  return row;
}

function render() {
  const size = Number(document.getElementById("page-size").value);
  const num = table.found.length;
  table.page = Math.max(0, Math.min(table.page, Math.ceil(num / size) - 1));

  const from = table.page * size;
  const shown = table.found.slice(from, from + size);
  document.getElementById("rows").replaceChildren(...shown.map(line));

  const inAll = num < numTrials ? ` (${numTrials} in all)` : "";
  const count = num ? `${from + 1} to ${from + shown.length} of ${num}${inAll}` : `none of ${numTrials}`;
  document.getElementById("count").textContent = count;
  document.getElementById("previous").disabled = table.page === 0;
  document.getElementById("next").disabled = from + shown.length >= num;

  for (const head of document.querySelectorAll("#heads th")) {
    if (head.dataset.name === table.sort) head.setAttribute("aria-sort", table.isRising ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

function refresh() {
  table.page = 0;
  table.found = sorted(filtered());
  render();
}

function turnPage(by) {
  table.page += by;
  render();
}

// Sort by a column; where that is so already, the other way round.
function sortBy(name) {
  const bestIsLow = !isNumber(name) || figures.get(name).better === "lower" || name === "trial" || name === "result";
  table.isRising = table.sort === name ? !table.isRising : bestIsLow;
  table.sort = name;
  refresh();
}

function showTrial(i) {
  const run = isComparison ? ` "run:${runName(i)}"` : "";
  document.getElementById("status").value = "";
  document.getElementById("filter").value = `trial=${trials.trial[i]}${run}`;
  refresh();
  document.getElementById("trials").scrollIntoView();
}

function columnHead(name) {
  const head = document.createElement("th");
  head.dataset.name = name;
  head.scope = "col";
  head.className = isNumber(name) ? "number" : "";

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = title(name);
  button.addEventListener("click", () => sortBy(name));
  head.append(button);
  return head;
}

function startTable() {
  document.getElementById("heads").append(...columns.map(columnHead));
  const statuses = [...new Set(trials.status)].sort();
  document.getElementById("status").append(...statuses.map((status) => new Option(status, status)));

  document.getElementById("filter").addEventListener("input", refresh);
  document.getElementById("status").addEventListener("change", refresh);
  document.getElementById("page-size").addEventListener("change", refresh);
  document.getElementById("previous").addEventListener("click", () => turnPage(-1));
  document.getElementById("next").addEventListener("click", () => turnPage(1));
  refresh();
}
