// Text that the server has made from Markdown, in which no HTML is let through; known words say what they mean.

import {glossed, make} from "/page/dom.js";

export function prose(html, glossary) {
  const node = make("div", {class: "prose"});
  node.innerHTML = html;
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), found = [], seen = new Set();
  while (texts.nextNode()) if (!texts.currentNode.parentElement.closest("code, pre")) found.push(texts.currentNode);
  for (const text of found) text.replaceWith(...glossed(text.data, glossary, seen));
  return node;
}
