// A lesson: words, a prediction, and after it the broken and the fixed program, the machine, and what was seen.

import {button, make} from "/page/dom.js";
import {chartPane} from "/page/chart.js";
import {machinePane} from "/page/machine-pane.js";
import {prose} from "/page/prose.js";
import {protocolPane, verdictLine} from "/page/protocol.js";

export function lessonsView(root, world) {
  root.append(
    make("h1", {}, "Nine lessons on per-CPU counters"),
    make("p", {class: "lead"}, "Each is a page to read, a question to answer before you are shown, a program that is wrong and one that is right, " +
      "every interleaving of both, and a machine that really runs: each of its CPUs is a process of its own."),
    make("ol", {class: "lessons"}, ...world.lessons.map((lesson) => make("li", {},
      make("a", {href: `/lesson/${lesson.name}`, "data-view": ""}, lesson.title), make("br"), lesson.ask))),
    make("p", {}, "Then try to ", make("a", {href: "/game", "data-view": ""}, "break it"), " yourself, or play with ",
      make("a", {href: "/machine/playground", "data-view": ""}, "the machine"), "."));
}

export function lessonView(root, world, name) {
  const at = world.lessons.findIndex((lesson) => lesson.name === name);
  const lesson = world.lessons[at];
  if (!lesson) {
    root.append(make("h1", {}, "There is no such lesson"), make("p", {}, make("a", {href: "/", "data-view": ""}, "All lessons")));
    return null;
  }
  const rest = make("div", {class: "rest"});
  const clearing = [];
  root.append(make("p", {class: "lead"}, `Lesson ${lesson.number} of ${world.lessons.length}`), make("h1", {}, lesson.title),
    make("p", {class: "lead"}, lesson.ask), prose(lesson.text, world.glossary),
    prediction(lesson.prediction, () => { if (!rest.childElementCount) clearing.push(...reveal(rest, world, lesson)); }), rest, around(world, at));
  return () => clearing.forEach((clear) => clear());
}

function prediction({question, options, right}, show) {
  const set = make("fieldset", {class: "prediction"}, make("legend", {}, "Predict"), make("p", {}, question));
  const inputs = options.map((option, i) => {
    const input = make("input", {type: "radio", name: "prediction", value: String(i)});
    const row = make("label", {class: "option"}, input, option.text);
    set.append(row);
    return {input, row, option, i};
  });
  const answer = button("Show me", () => {
    for (const {input, row, option, i} of inputs) {
      input.disabled = true;
      const mark = i === right ? "\u2713 " : input.checked ? "\u2715 " : "";
      row.className = i === right ? "option right" : input.checked ? "option wrong" : "option";
      if (mark) row.append(make("small", {}, mark, option.because));
    }
    const chosen = inputs.find(({input}) => input.checked);
    said.textContent = chosen ? (chosen.i === right ? "You were right." : "It is not so; see below.") : "";
    answer.hidden = true;
    show();
  }, {class: "reveal"});
  const said = make("p", {role: "status", class: "said"});
  set.append(answer, said);
  return set;
}

// Everything behind the prediction; gives back what clears it up.
function reveal(root, world, lesson) {
  const stepper = make("section", {"aria-label": "Programs"});
  root.append(make("h2", {}, "Step through it"), stepper);
  const clearing = [pairsPane(stepper, world, lesson)];
  if (lesson.orders.length) root.append(make("h2", {}, "All orders"), ordersTable(lesson.orders));
  root.append(make("h2", {}, "What you saw"), prose(lesson.after, world.glossary));
  if (lesson.chart) clearing.push(chartPane(root, world, lesson.chart));
  if (lesson.runs.length) clearing.push(runsPane(root, world, lesson.runs));
  return clearing;
}

// Buttons for the programs, and the stepper of the one that is chosen.
function pairsPane(root, world, {pairs}) {
  const programs = pairs.flatMap((pair) => [[`\u2715 ${pair.title}: broken`, pair.broken], ["\u2713 fixed", pair.fixed]]);
  const tabs = make("div", {class: "tabs"}), pane = make("div", {class: "broad"});
  let clear = null;
  const buttons = programs.map(([label, name]) => button(label, () => open(name), {"data-scenario": name, "aria-pressed": "false"}));
  function open(name) {
    clear?.();
    for (const tab of buttons) tab.setAttribute("aria-pressed", String(tab.dataset.scenario === name));
    pane.replaceChildren(verdictLine(name));
    clear = protocolPane(pane, world, name);
  }
  tabs.append(...buttons);
  root.append(tabs, pane);
  open(programs[0][1]);
  return () => clear?.();
}

function ordersTable(orders) {
  return make("table", {class: "orders"}, make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "order"), make("th", {scope: "col"}, "in every interleaving"))),
    make("tbody", {}, ...orders.map(({label, scenario}) => make("tr", {},
      make("th", {scope: "row"}, make("a", {href: `/explore/${scenario}`, "data-view": ""}, label)), make("td", {}, verdictLine(scenario))))));
}

function runsPane(root, world, runs) {
  const pane = make("div", {class: "broad"}), watch = make("p", {role: "status"});
  let clear = null;
  const start = (run) => {
    clear?.();
    watch.textContent = run.watch;
    clear = machinePane(pane, world, run);
  };
  root.append(make("h2", {}, "On the machine"), make("div", {class: "tabs"}, ...runs.map((run) => button(`\u25b6 ${run.label}`, () => start(run)))), watch, pane);
  return () => clear?.();
}

function around(world, at) {
  const link = (lesson, text) => lesson ? make("a", {href: `/lesson/${lesson.name}`, "data-view": ""}, text(lesson)) : make("span");
  return make("nav", {class: "around", "aria-label": "Lessons before and after"},
    link(world.lessons[at - 1], (lesson) => `\u2190 ${lesson.number}. ${lesson.title}`), link(world.lessons[at + 1], (lesson) => `${lesson.number}. ${lesson.title} \u2192`));
}
