const parsed = new Promise((done) => addEventListener("DOMContentLoaded", done));
const old = document.getElementById("old");
const unpacks = "DecompressionStream" in globalThis;
old.hidden = unpacks;

// What lies packed in the page under an id.
async function unpacked(id) {
  if (!document.getElementById(`data-${id}`)) await parsed;
  const packed = atob(document.getElementById(`data-${id}`).textContent);
  const bytes = Uint8Array.from(packed, (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const template = document.createElement("template");
  template.innerHTML = await new Response(stream).text();
  return template.content;
}
