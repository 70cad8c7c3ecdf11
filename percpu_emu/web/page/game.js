// Break it: the learner is the scheduler, and tries to lose a count or to touch freed memory.

import {button, make} from "/page/dom.js";
import {preemptionsText, protocolPane, verdictText} from "/page/protocol.js";
import {ask} from "/page/socket.js";

const WON = "percpu-emu.won";

function won() {
  try {
    return JSON.parse(localStorage.getItem(WON)) ?? {};
  } catch {
    return {};
  }
}

function remember(name, preemptions) {
  const all = won();
  all[name] = Math.min(all[name] ?? Infinity, preemptions);
  try {
    localStorage.setItem(WON, JSON.stringify(all));
  } catch { /* a browser that keeps nothing */ }
}

export function gameView(root, world) {
  const done = won();
  root.append(
    make("h1", {}, "Break it"),
    make("p", {}, "You are the scheduler. Choose who takes the next step, and make the program lose a count, count twice or touch " +
      "memory that is freed, with as few preemptions as you can: a preemption takes the turn from a context that could have " +
      "gone on. The search knows the smallest number. Some levels cannot be won; there it proves that it is impossible."),
    make("ol", {class: "levels"}, ...world.levels.map((level) => make("li", {},
      make("a", {href: `/game/${level.scenario}`, "data-view": ""}, level.title), " ",
      done[level.scenario] === undefined ? "" : make("span", {class: "fine"}, `\u2713 ${done[level.scenario]}`),
      make("br"), level.goal))));
}

export function levelView(root, world, name) {
  root.className = "wide game";
  const at = world.levels.findIndex((level) => level.scenario === name);
  const level = world.levels[at];
  if (!level) {
    root.append(make("h1", {}, "There is no such level"), make("p", {}, make("a", {href: "/game", "data-view": ""}, "All levels")));
    return null;
  }
  const score = make("p", {class: "score", role: "status"});
  const outcome = make("div", {class: "outcome", role: "status"});
  const prove = button("It cannot be broken", () => judge(), {class: "claim"});
  const following = world.levels[at + 1];
  root.append(make("h1", {}, `Break it, ${at + 1}: ${level.title}`), make("p", {}, level.goal),
    make("div", {class: "row"}, score, prove), outcome);

  let finished = "";
  function onState({n, total, data, preemptions}) {
    const violation = n === total ? data.violation : null;
    const over = n === total && !violation && data.next.every((option) => option.why_not);
    score.textContent = `${n} ${n === 1 ? "step" : "steps"}, ${preemptionsText(preemptions)}`;
    const now = violation ? `broken at ${n} with ${preemptions}` : over ? "survived" : "";
    if (now === finished) return;
    finished = now;
    if (violation) broke(violation, preemptions);
    else outcome.replaceChildren(over ? make("p", {}, "It is over, and nothing went wrong. Go back to a step, and choose otherwise.") : "");
  }

  async function broke(violation, preemptions) {
    remember(name, preemptions);
    const found = await ask({ask: "explore", scenario: name});
    const best = preemptions <= found.preemptions;
    outcome.replaceChildren(make("p", {class: "won"},
      make("strong", {}, `\u2713 Broken: ${violation.check}. `), `${violation.detail}. `,
      best ? `It takes ${preemptionsText(found.preemptions)}, as you did it: fewer do not suffice.`
        : `You took ${preemptionsText(preemptions)}; it can be done with ${preemptionsText(found.preemptions)}.`), more());
  }

  async function judge() {
    outcome.replaceChildren(make("p", {}, "Every interleaving is being tried ..."));
    const found = await ask({ask: "explore", scenario: name});
    const right = found.verdict === "pass";
    if (right) remember(name, 0);
    outcome.replaceChildren(make("p", {class: right ? "won" : ""},
      make("strong", {}, right ? "You are right. " : "It can. "), ...(right ? verdictText(found)
        : [`There is a way with ${preemptionsText(found.preemptions)}. `, hint(found)])), more());
  }

  function hint(found) {
    return make("a", {href: `/explore/${name}#${found.token}/0`, "data-view": ""}, "Show it");
  }

  function more() {
    return make("p", {}, following ? make("a", {href: `/game/${following.scenario}`, "data-view": ""}, `Next: ${following.title}`)
      : make("a", {href: "/game", "data-view": ""}, "All levels"));
  }
  return protocolPane(root, world, name, {play: true, onState, keys: document});
}
