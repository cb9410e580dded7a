let pair;

function isDone(rating) {
  return Boolean(rating?.harm && rating.help);
}

function onCard(record) {
  pair = record;
  for (const choice of document.querySelectorAll("#card input")) {
    choice.checked = decided()?.[choice.name] === choice.value;
    choice.addEventListener("change", () => rate(choice));
  }
}

function rate(choice) {
  if (!ready) return;
  choice.checked = true;
  decide({ ...pair, rater: noted.by, ...decided(), [choice.name]: choice.value });
}

for (const [number, key] of ["1", "2", "3", "4", "5", "6"].entries()) {
  moves[key] = () => rate(document.querySelectorAll("#card input")[number]);
}
