// The table of all trials: sorted, filtered, a page at a time.
const NUMBERS = ["trial", "result", "rung", "reward", "ap", "ap50", "ap75", "macs", "params", "latency_ms", "loss", "seconds"];
const cell = (name, i) => (name === "run" ? data.runs[trials.run[i]].name : numbersOf(name)?.[i]);
const isApReward = (trials.metrics.ap ?? []).every((ap, i) => ap === null || trials.reward[i] === null || ap === trials.reward[i]);
const HIDDEN = ["result", ...(isComparison ? [] : ["run"]), ...(rungs.length > 1 ? [] : ["rung"]), ...(isApReward ? ["ap"] : [])];
const columns = ["trial", "run", "status", ...NUMBERS.slice(2), "spec", "key", "failure"].filter(
  (name) => !HIDDEN.includes(name) && all.some((i) => ![null, undefined, ""].includes(cell(name, i))),
);
const table = { sort: columns.includes("reward") ? "reward" : "trial", isRising: !columns.includes("reward"), page: 0, rows: all };
const rowText = all.map((i) => [trials.trial[i], data.runs[trials.run[i]].name, trials.status[i], trials.spec[i], trials.key[i], trials.failure[i]].join(" ").toLowerCase());

const searchable = [...new Set([...columns, "run", "rung", "result", "ap", ...Object.keys(trials.metrics)])];

// One word of the filter: `reward>0.8`, `macs<80M`, `status:failed`, or text that stands in the row.
function condition(word) {
  const found = /^(\w+)(>=|<=|!=|>|<|=|:)(.+)$/.exec(word);
  if (!found || !searchable.includes(found[1])) return (i) => rowText[i].includes(word.toLowerCase());
  const [, name, sign, text] = found;
  const number = /^-?[\d.]+(e[-+]?\d+)?([kmb]?)$/i.exec(text);
  if (sign === ":" || !number || typeof cell(name, all.find((i) => cell(name, i) !== null)) === "string") {
    const has = (i) => String(cell(name, i) ?? "").toLowerCase().includes(text.toLowerCase());
    return sign === "!=" ? (i) => !has(i) : has;
  }
  const value = parseFloat(text) * { "": 1, k: 1e3, m: 1e6, b: 1e9 }[number[2].toLowerCase()];
  const holds = { ">": (v) => v > value, "<": (v) => v < value, ">=": (v) => v >= value, "<=": (v) => v <= value, "=": (v) => v === value, "!=": (v) => v !== value }[sign];
  return (i) => cell(name, i) !== null && cell(name, i) !== undefined && holds(cell(name, i));
}

function select() {
  const words = document.getElementById("filter").value.match(/"[^"]+"|\S+/g) ?? [];
  const status = document.getElementById("status").value;
  const conditions = words.map((word) => condition(word.replace(/^"|"$/g, "")));
  const rows = all.filter((i) => (!status || trials.status[i] === status) && conditions.every((holds) => holds(i)));
  const [name, direction] = [table.sort, table.isRising ? 1 : -1];
  const keys = all.map((i) => cell(name, i));
  const isEmpty = (value) => value === null || value === undefined || value === "";
  rows.sort((a, b) => {
    const [p, q] = [keys[a], keys[b]];
    if (isEmpty(p) || isEmpty(q)) return isEmpty(p) - isEmpty(q) || a - b;  // Empty ones last, either way.
    return direction * (typeof p === "string" ? p.localeCompare(q) : p - q) || a - b;
  });
  table.rows = rows;
}

function render() {
  const size = Number(document.getElementById("page-size").value), num = table.rows.length;
  table.page = Math.max(0, Math.min(table.page, Math.ceil(num / size) - 1));
  const from = table.page * size, rows = table.rows.slice(from, from + size);
  document.getElementById("rows").replaceChildren(...rows.map((i) => {
    const row = document.createElement("tr");
    row.dataset.row = i;
    for (const name of columns) {
      const box = document.createElement("td"), value = cell(name, i);
      box.textContent = NUMBERS.includes(name) ? figure(name, value) : value;
      box.className = NUMBERS.includes(name) ? "number" : { spec: "spec", key: "key", failure: "text", status: `status-${value}` }[name] ?? "";
      row.append(box);
    }
    return row;
  }));
  document.getElementById("count").textContent = num ? `${from + 1} to ${from + rows.length} of ${num}${num < numTrials ? ` (${numTrials} in all)` : ""}` : `none of ${numTrials}`;
  document.getElementById("previous").disabled = !table.page;
  document.getElementById("next").disabled = from + rows.length >= num;
  for (const head of document.querySelectorAll("#heads th")) {
    if (head.dataset.name === table.sort) head.setAttribute("aria-sort", table.isRising ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

function refresh() { table.page = 0; select(); render(); }

function showTrial(i) {
  document.getElementById("status").value = "";
  document.getElementById("filter").value = `trial=${trials.trial[i]}${isComparison ? ` "run:${data.runs[trials.run[i]].name}"` : ""}`;
  refresh();
  document.getElementById("trials").scrollIntoView();
}

function startTable() {
  const heads = document.getElementById("heads");
  for (const name of columns) {
    const head = document.createElement("th"), button = document.createElement("button");
    head.dataset.name = name;
    head.scope = "col";
    head.className = NUMBERS.includes(name) ? "number" : "";
    button.type = "button";
    button.textContent = title(name);
    button.addEventListener("click", () => {
      table.isRising = table.sort === name ? !table.isRising : !NUMBERS.includes(name) || COSTS.includes(name) || name === "trial" || name === "result";
      table.sort = name;
      refresh();
    });
    head.append(button);
    heads.append(head);
  }
  const statuses = [...new Set(trials.status)].sort();
  for (const status of statuses) document.getElementById("status").append(new Option(status, status));
  document.getElementById("filter").addEventListener("input", refresh);
  document.getElementById("status").addEventListener("change", refresh);
  document.getElementById("page-size").addEventListener("change", refresh);
  document.getElementById("previous").addEventListener("click", () => { table.page -= 1; render(); });
  document.getElementById("next").addEventListener("click", () => { table.page += 1; render(); });
  refresh();
}
