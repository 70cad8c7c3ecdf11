// Which view the address asks for, and the way from one to the next. A view is a function (root, world, rest) that
// fills `root` and may give back a function that clears up behind it.

import {make} from "/page/dom.js";
import {gameView, levelView} from "/page/game.js";
import {lessonView, lessonsView} from "/page/lesson.js";
import {onConnection} from "/page/socket.js";
import {glossaryView, machineView, protocolView} from "/page/views.js";

const views = [
  [/^\/$/, lessonsView],
  [/^\/lesson\/([\w-]+)$/, lessonView],
  [/^\/game$/, gameView],
  [/^\/game\/([\w-]+)$/, levelView],
  [/^\/explore\/([\w-]+)$/, protocolView],
  [/^\/machine\/([\w-]+)$/, machineView],
  [/^\/glossary$/, glossaryView],
];
if (location.search) history.replaceState(history.state, "", location.pathname + location.hash);  // the token is in a cookie by now
const root = document.querySelector("#view");
let clearUp = null;
let world = null;

async function show() {
  clearUp?.();
  clearUp = null;
  const path = decodeURI(location.pathname);
  for (const link of document.querySelectorAll("#top nav a")) {
    const here = link.pathname === "/" ? path === "/" || path.startsWith("/lesson") : path.startsWith(link.pathname);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  world ??= await (await fetch("/api/lessons")).json();
  const [match, view] = views.map(([pattern, view]) => [pattern.exec(path), view]).find(([match]) => match) ?? [];
  root.replaceChildren();
  root.className = "";
  if (view) clearUp = view(root, world, match[1]) ?? null;
  else root.append(make("h1", {}, "There is no such page"), make("p", {}, make("a", {href: "/", "data-view": ""}, "The lessons")));
  document.title = `${root.querySelector("h1")?.textContent ?? "percpu-emu"} - percpu-emu`;
}

export function visit(address) {
  history.pushState(null, "", address);
  window.scrollTo(0, 0);
  show();
  root.focus({preventScroll: true});
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  visit(link.href);
});
window.addEventListener("popstate", (event) => {
  if (event.state !== "step") show();
});
onConnection((text) => { document.querySelector("#connection").textContent = text; });
show();
