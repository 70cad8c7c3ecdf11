// Small things that every page uses: elements, and words that say what they mean.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false && value !== "") node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function button(label, action, attributes = {}) {
  const node = make("button", {type: "button", ...attributes}, label);
  node.addEventListener("click", action);
  return node;
}

export function capital(text) { return text.charAt(0).toUpperCase() + text.slice(1); }

// The nodes of a text whose known words say what they mean where the pointer or the focus rests. Each does so once.
export function glossed(text, glossary, seen = new Set()) {
  return text.split(spellings(glossary)).map((part, i) => {
    const meaning = i % 2 ? glossary[part] ?? glossary[part.toLowerCase()] ?? "" : "";
    if (!meaning || seen.has(meaning)) return part;
    seen.add(meaning);
    return make("dfn", {tabindex: "0", "data-meaning": meaning, "aria-description": meaning}, part);
  });
}

const patterns = new WeakMap();

function spellings(glossary) {
  if (!patterns.has(glossary)) {
    const escaped = Object.keys(glossary).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    patterns.set(glossary, new RegExp(`\\b(${escaped.join("|")})\\b`, "gi"));
  }
  return patterns.get(glossary);
}

// Scroll `pane` so that `node` stands inside it, `margin` pixels from its edges.
export function bringInto(pane, node, margin) {
  const box = node.getBoundingClientRect(), around = pane.getBoundingClientRect();
  if (box.top < around.top + margin) pane.scrollTop += box.top - around.top - margin;
  if (box.bottom > around.bottom - margin) pane.scrollTop += box.bottom - around.bottom + margin;
}
