const deck = document.getElementById("deck");
const keys = document.getElementById("keys").textContent.split(" ");
const place = `monopolylogue-${deck.dataset.deck}`;
const noted = { at: 0, by: crypto.getRandomValues(new Uint32Array(2)).join(""), decided: {}, ...kept() };
// Whether the card that is to be shown is there, so that nobody decides about one that they have not seen.
let ready = false;

// What this browser keeps of an earlier visit.
function kept() {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? {};
  } catch {
    return {};
  }
}

function keep() {
  try {
    localStorage.setItem(place, JSON.stringify(noted));
  } catch {
    document.getElementById("unkept").hidden = false;
  }
}

// What was decided on the card that is shown; `isDone` and `onCard` are the page's own.
const decided = () => noted.decided[keys[noted.at]];

function decide(value) {
  if (value) noted.decided[keys[noted.at]] = value;
  else delete noted.decided[keys[noted.at]];
  told();
  keep();
}

function told() {
  const done = keys.filter((key) => isDone(noted.decided[key])).length;
  document.getElementById("status").textContent = `${noted.at + 1} of ${keys.length}, ${done} decided`;
  document.getElementById("previous").disabled = noted.at === 0;
  document.getElementById("next").disabled = noted.at === keys.length - 1;
  document.getElementById("open").disabled = done === keys.length;
  document.getElementById("download").disabled = done === 0;
}

async function show(number, moved = true) {
  if (!(number in keys)) return;
  noted.at = number;
  ready = false;
  keep();
  const content = await unpacked(keys[number]);
  if (noted.at !== number) return;
  document.getElementById("card").replaceChildren(content);
  document.getElementById("number").textContent = `${number + 1} of ${keys.length}`;
  told();
  onCard(JSON.parse(document.querySelector("#card > article").dataset.record));
  ready = true;
  if (!moved) return;
  deck.querySelector("#card").scrollIntoView();
  deck.querySelector("#card h2").focus({ preventScroll: true });
}

// The first one after this that nothing was decided about, or else from the beginning.
function showOpen() {
  const isOpen = (key) => !isDone(noted.decided[key]);
  const after = keys.findIndex((key, number) => number > noted.at && isOpen(key));
  show(after < 0 ? keys.findIndex(isOpen) : after);
}

function download() {
  const lines = keys.map((key) => noted.decided[key]).filter(isDone);
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  link.download = deck.dataset.file;
  link.click();
}

const moves = {
  ArrowLeft: () => show(noted.at - 1),
  ArrowRight: () => show(noted.at + 1),
  n: showOpen,
};

addEventListener("keydown", (event) => {
  const typing = event.target.closest("textarea, select, input:not([type=radio])");
  const choosing = event.key.startsWith("Arrow") && event.target.matches("input");
  if (typing || choosing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const move = moves[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!move) return;
  event.preventDefault();
  move();
});
document.getElementById("previous").addEventListener("click", moves.ArrowLeft);
document.getElementById("next").addEventListener("click", moves.ArrowRight);
document.getElementById("open").addEventListener("click", showOpen);
document.getElementById("download").addEventListener("click", download);
if (unpacks) show(Math.min(noted.at, keys.length - 1), false);
