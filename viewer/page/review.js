const buttons = document.querySelectorAll("button[data-decision]");
const WORDS = { keep: "kept", drop: "dropped", edit: "edited" };
let row;
let answer;
let beside;

function isDone(decision) {
  return Boolean(decision);
}

function onCard(record) {
  row = record;
  answer = document.getElementById("answer").textContent;
  tell();
  document.getElementById("save").addEventListener("click", save);
  document.getElementById("cancel").addEventListener("click", () => edit(false));
  document.getElementById("editor").addEventListener("keydown", (event) => {
    if (event.key === "Escape") edit(false);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  if (beside !== row.scene) putBeside(row.scene);
}

async function putBeside(id) {
  beside = id;
  const scene = await unpacked(id);
  if (beside === id) document.getElementById("scene").replaceChildren(scene);
}

// The row as it was decided about it.
function tell() {
  const decision = decided()?.decision;
  const badge = document.getElementById("decision");
  badge.hidden = !decision;
  badge.textContent = WORDS[decision] ?? "";
  document.getElementById("answer").textContent = decided()?.text ?? answer;
  for (const button of buttons) {
    if (button.dataset.decision) button.setAttribute("aria-pressed", button.dataset.decision === decision);
  }
}

function edit(begun) {
  const field = document.getElementById("text");
  document.getElementById("answer").hidden = begun;
  document.getElementById("editor").hidden = !begun;
  field.value = document.getElementById("answer").textContent;
  if (begun) field.focus();
  else document.querySelector("#card h2").focus({ preventScroll: true });
}

// An answer that was edited back is kept, and one without a text is none.
function save() {
  const text = document.getElementById("text").value.trim();
  if (!text) return;
  edit(false);
  decide({ ...row, ...(text === answer.trim() ? { decision: "keep" } : { decision: "edit", text }) });
  tell();
}

function review(decision) {
  if (!ready) return;
  if (decision === "edit") {
    edit(true);
    return;
  }
  edit(false);
  decide(decision && { ...row, decision });
  tell();
  if (decision) moves.ArrowRight();
}

for (const button of buttons) {
  button.addEventListener("click", () => review(button.dataset.decision));
}
Object.assign(moves, {
  k: () => review("keep"),
  d: () => review("drop"),
  e: () => review("edit"),
  u: () => review(""),
});
