// The cards of the best architectures: each opens to a large drawing, its spec file, and its difference to another.
const inCard = (id) => document.getElementById(`card-${id}`);

function startCards() {
  document.querySelectorAll(".card").forEach((card, number) => {
    const button = card.querySelector("button");
    // Without this script a button could do nothing, so it is hidden until here.
    button.hidden = false;
    button.setAttribute("aria-label", `Open ${data.cards[number].title}`);
    button.addEventListener("click", () => openCard(card, number));
  });
  if (!data.cards.length) return;

  const dialog = document.getElementById("card");
  inCard("close").addEventListener("click", () => dialog.close());
  inCard("copy").addEventListener("click", copySpec);
  // The dialog covers its own content: a click that meets the dialog itself fell beside it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

function openCard(element, number) {
  const card = data.cards[number];
  inCard("title").textContent = card.title;
  inCard("figures").textContent = card.figures;
  inCard("drawing").replaceChildren(element.querySelector("template").content.cloneNode(true));
  inCard("spec").textContent = card.spec_file;
  inCard("copied").textContent = "";

  const others = data.cards.map((_, other) => other).filter((other) => other !== number);
  const select = inCard("other");
  select.replaceChildren(...others.map((other) => new Option(data.cards[other].title, other)));
  select.onchange = () => showDifference(card, data.cards[Number(select.value)]);
  showDifference(card, data.cards[others[0]]);

  document.getElementById("card").showModal();
}

// The blocks in which two architectures differ, in words.
function showDifference(card, other) {
  const table = inCard("difference");
  table.hidden = !other;
  inCard("other").parentElement.hidden = !other;
  if (!other) {
    inCard("count").textContent = "There is no other card to compare with.";
    return;
  }

  const names = [...new Set([...Object.keys(card.blocks), ...Object.keys(other.blocks)])];
  const rows = names
    .map((name) => [name, card.blocks[name] ?? "none", other.blocks[name] ?? "none"])
    .filter(([, mine, theirs]) => mine !== theirs);

  table.querySelector(".mine").textContent = card.title;
  table.querySelector(".theirs").textContent = other.title;
  table.tBodies[0].replaceChildren(...rows.map(rowOf));
  inCard("count").textContent = `${rows.length} of ${names.length} blocks differ`;
}

function rowOf(texts) {
  const row = document.createElement("tr");
  for (const text of texts) row.insertCell().textContent = text;
  return row;
}

async function copySpec() {
  const spec = inCard("spec");
  try {
    await navigator.clipboard.writeText(spec.textContent);
    inCard("copied").textContent = "copied";
  } catch {
    // A browser may keep the clipboard from a file on disk.
    getSelection().selectAllChildren(spec);
    inCard("copied").textContent = "selected: copy it with Ctrl-C";
  }
}
