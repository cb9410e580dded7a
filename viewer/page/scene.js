"use strict";

// Everything that belongs to the event under the pointer or the focus is marked.
function relate(target) {
  const events = target.closest("[data-event]")?.dataset.event;
  for (const element of document.querySelectorAll(".related")) element.classList.remove("related");
  for (const event of events?.split(" ").filter(Boolean) ?? []) {
    for (const element of document.querySelectorAll(`[data-event~="${event}"]`)) element.classList.add("related");
  }
}

// The place that the address names is shown, whatever it is folded away in.
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  for (let folded = target?.closest("details"); folded; folded = folded.parentElement.closest("details")) {
    folded.open = true;
  }
  target?.scrollIntoView();
  const stop = target?.matches("details") ? target.querySelector("summary") : target;
  stop?.focus({ preventScroll: true });
}

addEventListener("pointerover", (event) => relate(event.target));
addEventListener("focusin", (event) => relate(event.target));
// The browser goes to a place in the open by itself, before this is heard of: by then the reader may have moved on.
function unfold() {
  if (document.getElementById(location.hash.slice(1))?.closest("details")) reveal();
}

addEventListener("hashchange", unfold);
addEventListener("load", unfold);
