// The right-hand pane of the stepper: words, memory, contexts and grace periods after a step.

import {bringInto, capital, make} from "/page/dom.js";

// What stands after `n` steps: words by their accesses, the rest by its changes, from the start on.
export function stateAt(data, n) {
  const words = Object.fromEntries(data.words.map((word) => [word.address, word.text]));
  const beside = Object.fromEntries(Object.entries(data.start).map(([kind, found]) => [kind, {...found}]));
  for (const step of data.steps.slice(0, n)) {
    for (const access of step.accesses) words[access.address] = access.new_text;
    for (const [kind, found] of Object.entries(step.changes)) Object.assign(beside[kind], found);
  }
  return {words, ...beside};
}

// Draws into the elements that `find` gives by id. `at`: the data, the step that was taken last, the state after it.
export function drawState(find, at) {
  find("words").replaceChildren(...wordRows(at));
  find("contexts").replaceChildren(...contextRows(at));
  find("waits").replaceChildren(...waitRows(at));
  find("memory").replaceChildren(...memoryRows(at));
  const pane = find("state").querySelector(".scroll");
  const touched = pane.querySelector(".new, .read");
  if (touched) bringInto(pane, touched, 24);
}

function breakable(label) {
  return label.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);
}

function wordRows({data, step, state}) {
  const touched = new Map((step ? step.accesses : []).map((access) => [access.address, access]));
  const plain = data.words.filter((word) => word.cpu === null);
  return plain.map((word) => {
    const access = touched.get(word.address);
    const written = access && access.write;
    const freed = word.allocation !== null && state.allocations[word.allocation] === "freed";
    const value = make("td", {class: "value"});
    if (written && access.new_text !== "gone") value.append(make("s", {}, `${access.old_text} \u2192 `));
    value.append(state.words[word.address]);
    const name = make("th", {scope: "row"}, make("span", {}, ...breakable(word.label)));
    if (freed) name.append(" ", make("span", {class: "tag bad"}, "freed"));
    if (access) name.append(" ", make("span", {class: "tag"}, written ? "\u25cf written" : "\u25cb read"));
    const kinds = [written ? "new" : access ? "read" : "", freed ? "freed" : ""].join(" ").trim();
    return make("tr", {class: kinds, "data-address": word.address}, name, value, ledgerCell(data, word, state));
  });
}

function ledgerCell(data, word, state) {
  if (!data.ledgers.some((found) => found.address === word.address)) return make("td");
  return make("td", {class: "ledger", title: "what has been added so far"}, String(state.ledgers[word.address] ?? 0));
}

function contextRows({data, step, state, acting}) {
  return data.contexts.map((context, i) => {
    const now = Boolean(step) && step.context === i;
    const {state: how, reader} = state.contexts[i];
    const idle = ["not started", "ended", "offline", "killed"].includes(how);
    const words = make("span", {class: "how"});
    if (reader) words.append(make("span", {class: "chip in"}, context.kind === "interrupt" ? "in an interrupt" : "in a section"), " ");
    words.append(howText(data, state, i, now, acting));
    return make("li", {class: now ? "now" : idle ? "idle" : ""}, make("span", {"aria-hidden": "true"}, now ? "\u25b6" : ""),
      make("span", {}, capital(context.who)), words);
  });
}

function howText(data, state, context, now, acting) {
  const how = state.contexts[context].state;
  const pending = Object.values(state.waits).filter((wait) =>
    !wait.taken && (wait.by === context && wait.op !== "call_rcu" || wait.runs === context)).flatMap((wait) => wait.pending);
  const names = [...new Set(pending)].map((actor) => data.contexts[actor].who).join(", ");
  if (how === "waiting") return names ? `waits for ${names}` : "its wait is over";
  if (how === "queued") return names ? `queued, waits for ${names}` : "queued, may run";
  if (how === "blocked") return "waits for a word";
  if (how === "ready") return now ? "running" : "stopped";
  if (how === "not started" && !acting.has(context)) return "takes no step";
  return how;
}

function waitRows({data, state}) {
  const waits = Object.entries(state.waits);
  if (!waits.length) return [make("li", {class: "none-yet"}, "no context waits for one")];
  return waits.map(([at, wait]) => {
    const chips = wait.of.map((actor) => wait.pending.includes(actor)
      ? make("span", {class: "chip in"}, `${data.contexts[actor].who}: inside`)
      : make("span", {class: "chip out"}, `${data.contexts[actor].who} \u2713`));
    const open = wait.pending.length > 0;
    return make("li", {}, make("span", {}, make("code", {}, wait.op), ` (step ${Number(at) + 1}) `, open ? "waits for" : "is over"),
      ...chips);
  });
}

function memoryRows(at) {
  const {data, state} = at;
  const statics = data.words.some((word) => word.cpu !== null && word.allocation === null);
  const all = [...data.allocations, ...(statics ? [{pointer: null, label: "static per-CPU area", cpus: 1}] : [])];
  if (!all.length) return [make("li", {class: "none-yet"}, "nothing is allocated")];
  return all.map((found) => {
    const how = found.pointer === null ? "live" : state.allocations[found.pointer];
    const what = {live: "live", freed: "\u2715 freed", none: "not allocated"}[how] + (found.cpus === null ? "" : " on every CPU");
    const square = found.cpus === null ? make("span", {class: `square ${how}`}) : "";
    const title = make("div", {class: "name"}, square, found.label, " ", make("span", {class: how === "freed" ? "tag bad" : "tag"}, what));
    return make("li", {class: how}, title, ...(found.cpus === null ? [] : slotRows(at, found, how)));
  });
}

function slotRows(at, found, how) {
  const words = at.data.words.filter((word) => word.cpu !== null && word.allocation === found.pointer);
  const pointers = [...new Set(words.map((word) => word.pointer))];
  if (!words.length) return [make("div", {class: "cells"}, ...Array.from({length: found.cpus}, (_, cpu) => cell(at, cpu, null, how)))];
  return pointers.map((pointer) => {
    const copies = words.filter((word) => word.pointer === pointer);
    const name = copies[0].slot === found.label ? "" : make("span", {class: "tag"}, copies[0].slot);
    return make("div", {class: "cells"}, ...copies.map((word) => cell(at, word.cpu, word, how)), name);
  });
}

function cell({step, state}, cpu, word, how) {
  const access = word && step && step.accesses.find((found) => found.address === word.address);
  const written = access && access.write;
  const value = make("span", {class: "value"});
  if (written && access.new_text !== "gone") value.append(make("s", {}, `${access.old_text} \u2192 `));
  value.append(how === "freed" && !access ? "\u2715" : word ? state.words[word.address] : "\u00a0");
  const mark = written ? " \u25cf" : access ? " \u25cb" : "";
  const title = `${word ? word.label : `CPU ${cpu}`}: ${how}${written ? ", written" : access ? ", read" : ""}`;
  return make("span", {class: `cell ${how}${written ? " new" : access ? " read" : ""}`, title, "data-address": word ? word.address : ""},
    make("small", {}, `CPU ${cpu}${mark}`), value);
}
