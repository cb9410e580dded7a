const index = document.getElementById("index");
const stage = document.getElementById("stage");
const filters = document.getElementById("filters");
const search = document.getElementById("search");
const rows = [...document.querySelectorAll("#rows > li")];
const links = new Map(rows.map((row) => [row.querySelector("a").hash.slice(1), row]));
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
const indexTitle = document.title;
let opened = "";
let place = 0;

// Rows that have one of the chosen values of every facet, and every word that is searched for.
function filter() {
  const chosen = new Map();
  for (const [name, value] of new FormData(filters)) chosen.set(name, [...(chosen.get(name) ?? []), value]);
  const words = search.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !(
      [...chosen].every(([name, values]) => values.includes(row.dataset[name])) &&
      words.every((word) => texts.get(row).includes(word))
    );
    if (!row.hidden) shown += 1;
  }
  const some = shown < rows.length ? ` of ${rows.length.toLocaleString("en")}` : "";
  document.getElementById("shown").textContent = `${shown.toLocaleString("en")}${some} shown`;
  document.getElementById("none").hidden = shown > 0;
}

async function open(id) {
  const content = await unpacked(id);
  if (location.hash.slice(1, 17) !== id) return;
  if (!opened) place = scrollY;
  opened = id;
  document.getElementById("scene").replaceChildren(content);
  index.hidden = true;
  stage.hidden = false;
  document.title = `${document.getElementById(id).textContent} · Monopolylogue`;
  const ids = [...links].filter(([, row]) => !row.hidden).map(([key]) => key);
  const number = ids.indexOf(id);
  document.getElementById("position").textContent = number < 0 ? "" : `${number + 1} of ${ids.length}`;
  step("previous", ids[number - 1]);
  step("next", number < 0 ? undefined : ids[number + 1]);
  scrollTo(0, 0);
  reveal();
}

function step(link, id) {
  const element = document.getElementById(link);
  if (id) element.href = `#${id}`;
  else element.removeAttribute("href");
}

function close() {
  if (!opened) return;
  index.hidden = false;
  stage.hidden = true;
  document.getElementById("scene").replaceChildren();
  document.title = indexTitle;
  scrollTo(0, place);
  links.get(opened).querySelector("a").focus({ preventScroll: true });
  opened = "";
}

// Where the reader is, since whoever opens a scene has the list in view and not what is above it.
function refuse() {
  old.scrollIntoView({ block: "center" });
  old.focus({ preventScroll: true });
}

// The address is `#`, `#SCENE` or `#SCENE.PLACE`.
function route() {
  const id = location.hash.slice(1, 17);
  if (!location.hash) close();
  else if (links.has(id) && id !== opened) unpacks ? open(id) : refuse();
}

filters.addEventListener("input", filter);
filters.addEventListener("reset", () => setTimeout(filter));
filters.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
addEventListener("hashchange", route);
if (!matchMedia("(min-width: 60rem)").matches) filters.parentElement.open = false;
filter();
route();
