// A running machine, drawn ten times a second from its snapshots, with what a learner can do to it.

import {button, make} from "/page/dom.js";

const SIGNS = {
  running: "\u25b6", "in a section": "\u25cf", "in an update": "\u25c6", "in an interrupt": "\u26a1", waiting: "\u2026", idle: "\u25cb",
  offline: "\u2715", held: "\u25a0", stopped: "\u2016",
};
const PACES = [["full speed", 0], ["20 ms a step", 20], ["0.3 s a step", 300], ["2 s a step", 2000]];
const MOST_EVENTS = 40;
const LONG = 1001;  // of a run that goes on until it is ended, no progress is shown
const SPOKEN = new Set(["rcu_stall", "trapped", "cpu_died", "not_done"]);
const EVENTS = {
  rmdir: (e) => `cgroup ${e.cgroup} is removed: it is dying`,
  flushing: (e) => `the slots of ${e.cgroup} are flushed`,
  released: (e) => `the slots of ${e.cgroup} are released`,
  freed: (e) => `cgroup ${e.cgroup} is freed`,
  rcu_stall: (e) => `STALL: the grace period has waited ${e.waited.toFixed(1)} s for ${list(e.cpus)}: ${e.where[0]?.split(": ").slice(1).join(": ") ?? ""}`,
  cpu_dead: (e) => `CPU ${e.cpu} is down; its slots are folded`,
  cpu_offline: (e) => `CPU ${e.cpu} is off line`,
  cpu_online: (e) => `CPU ${e.cpu} is on line`,
  cpu_died: (e) => `CPU ${e.cpu} was killed${e.doubts.length ? `; in doubt: ${e.doubts.join(", ")}` : ""}`,
  trapped: (e) => `TRAP: ${e.who} touched ${e.what}`,
  not_done: (e) => `not done (${e.order}): ${e.reason}`,
  steps_done: () => "all steps are done; everything is counted once more",
};

function list(cpus) { return `CPU ${cpus.join(", ")}`; }
function number(n) { return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f"); }

// Change a text only where it is another one: ten times a second, a page that is left alone stays readable.
function set(node, text, kind) {
  if (node.textContent !== text) node.textContent = text;
  if (kind !== undefined && node.className !== kind) node.className = kind;
}

// Fills `root`. `send` takes commands for the machine's process; `restart`, if given, starts it again.
export function mountMachine(root, send, restart) {
  return new Drawing(root, send, restart);
}

class Drawing {
  constructor(root, send, restart) {
    this.root = root;
    this.send = send;
    this.cpus = [];
    this.cgroups = new Map();
    this.chunks = new Map();
    this.most = {percpu: 1, slab: 1};
    root.classList.add("machine");
    this.status = make("p", {class: "status", role: "status"}, "The machine is being started.");
    this.spoken = make("p", {class: "unseen", "aria-live": "assertive"});
    this.end = button("End", () => send({do: "end"}), {class: "end"});
    this.again = button("Start again", restart ?? (() => {}), {class: "again", hidden: true});
    this.canRestart = Boolean(restart);
    this.pace = make("fieldset", {class: "pace", hidden: true}, make("legend", {}, "Pace"), ...PACES.map(([label, ms]) => this.paceChoice(label, ms)));
    this.fresh = button("New cgroup", () => send({do: "mkdir"}), {class: "mkdir", hidden: true});
    this.columns = make("div", {class: "cpus"});
    this.table = make("tbody");
    this.counters = make("table", {class: "counters", hidden: true},
      make("thead", {}, make("tr", {}, ...["cgroup", "pointer", "counter", "atomic twin", "+ slots", "= counted", "ledger", "difference", ""].map((name) =>
        make("th", {scope: "col"}, name)))), this.table);
    this.gracePeriod = make("p", {class: "grace"});
    this.tally = make("p", {class: "tally"});
    this.lost = make("p", {class: "lost", role: "alert"});
    this.bars = {percpu: this.bar("Percpu"), slab: this.bar("Slab")};
    this.pages = make("div", {class: "chunks"});
    this.pageNote = make("p", {class: "note"});
    this.log = make("ol", {class: "log", "aria-label": "What happened, newest first"});
    this.outcome = make("div", {class: "outcome"});
    root.replaceChildren(make("div", {class: "controls"}, this.status, this.pace, this.fresh, this.end, this.again), this.spoken, this.outcome, this.columns,
      make("div", {class: "panes"},
        make("section", {"aria-label": "Counters"}, make("h3", {}, "Counters, and what the CPUs know they added"), make("div", {class: "scroll"}, this.counters), this.lost),
        make("section", {"aria-label": "RCU and memory"}, make("h3", {}, "RCU and memory"), this.gracePeriod, this.tally, this.bars.percpu.row, this.bars.slab.row, this.pages, this.pageNote),
        make("section", {"aria-label": "Events"}, make("h3", {}, "What happened"), this.log)));
  }

  destroy() { this.root.replaceChildren(); }

  paceChoice(label, ms) {
    const input = make("input", {type: "radio", name: "pace", value: String(ms), checked: ms === 0});
    input.addEventListener("change", () => this.send({do: "pace", ms}));
    return make("label", {}, input, label);
  }

  bar(name) {
    const fill = make("span", {class: "fill"}), value = make("span", {class: "value"});
    return {fill, value, row: make("div", {class: "bar"}, make("span", {}, name), make("span", {class: "track"}, fill), value)};
  }

  // What the machine's process says.
  show(message) {
    if (message.started) this.begin(message);
    else if (message.snapshot) this.draw(message.snapshot);
    else if (message.event) this.tell(message.event);
    else if (message.progress) this.progress(message.progress);
    else if (message.protocol) this.protocol = message.protocol;
    else if (message.refused) this.say(message.refused);
    else if (message.report) this.report(message.report);
    else if (message.ended) this.stop("Ended.");
    else if (message.error) this.stop(message.error);
  }

  begin({started, steps}) {
    this.name = started;
    this.outcome.replaceChildren();
    this.log.replaceChildren();
    this.most = {percpu: 1, slab: 1};
    for (const node of [this.fresh, this.pace]) node.hidden = !steps;
    this.end.hidden = !steps;
    this.again.hidden = true;
    this.pace.querySelector("input").checked = true;
    set(this.status, `${started}: starting`);
  }

  stop(text) {
    set(this.status, text);
    this.say(text);
    for (const node of [this.fresh, this.pace, this.end]) node.hidden = true;
    for (const cpu of this.cpus) cpu.hold.hidden = cpu.line.hidden = true;
    for (const row of this.cgroups.values()) row.remove.hidden = true;
    this.again.hidden = !this.canRestart;
  }

  progress({done, of, what}) {
    if (what) set(this.status, `${this.name}: ${what} (${done} of ${of})`);
    else this.done = of < LONG ? ` (${Math.round(100 * done / of)} %)` : "";
  }

  say(text) { set(this.spoken, text); }

  tell(event) {
    const text = EVENTS[event.kind]?.(event) ?? event.kind;
    const loud = SPOKEN.has(event.kind);
    this.log.prepend(make("li", {class: loud ? "loud" : ""}, make("span", {class: "when"}, `${event.seconds.toFixed(1)} s`), ` ${text}`));
    while (this.log.childElementCount > MOST_EVENTS) this.log.lastElementChild.remove();
    if (loud) this.say(text);
  }

  report(report) {
    this.stop(`${this.name}: ${{pass: "\u2713 pass", fail: "\u2715 fail", inconclusive: "? inconclusive"}[report.verdict]}, after ${report.seconds.toFixed(1)} s`);
    const story = report.counterexample?.story ?? [];
    this.outcome.replaceChildren(make("ul", {class: "checks"}, ...report.checks.map((check) => make("li", {class: check.ok ? "fine" : check.ok === null ? "open" : "bad"},
      make("strong", {}, `${check.ok ? "\u2713" : check.ok === null ? "? not judged:" : "\u2715"} ${check.name}`), ` ${check.detail}`))), ...story.map((line) => make("p", {}, line)));
  }

  // --- a snapshot

  draw(snapshot) {
    const {kernel} = snapshot;
    const protocol = this.protocol ? `, ${this.protocol} protocol` : "";
    set(this.status, `${this.name}${protocol}: running, ${snapshot.seconds.toFixed(1)} s${this.done ?? ""}`);
    while (this.cpus.length < snapshot.cpus.length) this.addCpu(this.cpus.length);
    while (this.cpus.length > snapshot.cpus.length) this.cpus.pop().root.remove();
    this.columns.classList.toggle("many", snapshot.cpus.length > 4);
    snapshot.cpus.forEach((cpu) => this.drawCpu(cpu, snapshot.table, kernel));
    this.drawTable(snapshot.table);
    this.drawKernel(snapshot);
    this.drawPages(snapshot);
  }

  addCpu(number) {
    const parts = {state: make("p", {class: "state"}), code: make("code", {class: "line"}), where: make("p", {class: "where"}), slots: make("div", {class: "slots"}),
      rate: make("p", {class: "rate"})};
    parts.hold = button("Hold", () => this.send({do: parts.isHeld ? "let_go" : "hold", cpu: number}), {class: "hold"});
    parts.line = button("Off line", () => this.send({do: parts.isOffline ? "online" : "offline", cpu: number}), {class: "hotplug"});
    parts.root = make("article", {class: "cpu", "aria-label": `CPU ${number}`}, make("div", {class: "head"}, make("h3", {}, `CPU ${number}`), parts.state), parts.code, parts.where, parts.slots, parts.rate,
      make("div", {class: "row"}, parts.hold, parts.line));
    this.cpus.push(parts);
    this.columns.append(parts.root);
  }

  drawCpu(cpu, table, kernel) {
    const parts = this.cpus[cpu.cpu];
    const awaited = kernel.in_progress && kernel.waits_for.includes(cpu.cpu);
    const state = cpu.state === "waiting" ? `waits for ${cpu.waits_for}` : cpu.state === "held" ? "held in a section" : cpu.state;
    set(parts.state, `${SIGNS[cpu.state] ?? ""} ${state}`);
    const kind = `cpu ${cpu.state.replaceAll(" ", "-")}${awaited ? " awaited" : ""}`;
    if (parts.root.className !== kind) parts.root.className = kind;
    set(parts.code, cpu.text || cpu.doing || "\u00a0");
    set(parts.where, cpu.program ? `${cpu.program}, line ${cpu.line}` : "\u00a0");
    set(parts.rate, `${number(cpu.updates_per_s)} updates/s${cpu.interrupts ? `, ${number(cpu.interrupts)} interrupts` : ""}${awaited ? "; the grace period waits for it" : ""}`);
    parts.isHeld = cpu.state === "held";
    parts.isOffline = cpu.state === "offline";
    set(parts.hold, parts.isHeld ? "Let go" : "Hold");
    parts.hold.hidden = parts.isOffline;
    set(parts.line, parts.isOffline ? "On line" : "Off line");
    parts.line.hidden = false;
    const boxes = table.flatMap((cgroup) => cgroup.counters.filter((counter) => counter.slots.length).map((counter) => [cgroup.counters.length > 1 ? `${cgroup.path} ${counter.name}` : cgroup.path, counter.slots[cpu.cpu]]));
    this.drawBoxes(parts.slots, boxes.slice(0, 6));
  }

  drawBoxes(root, boxes) {
    while (root.childElementCount > boxes.length) root.lastElementChild.remove();
    while (root.childElementCount < boxes.length) root.append(make("span", {class: "slot"}, make("small"), make("b")));
    boxes.forEach(([name, value], i) => {
      const box = root.children[i];
      set(box.firstElementChild, name);
      box.title = name;
      set(box.lastElementChild, String(value));
    });
    root.classList.toggle("none", boxes.length === 0);
  }

  drawTable(table) {
    this.counters.hidden = table.length === 0;
    const wanted = table.flatMap((cgroup) => (cgroup.counters.length ? cgroup.counters : [null]).map((counter, i) => [`${cgroup.path} ${counter?.name ?? ""}`, cgroup, counter, i]));
    const keys = new Set(wanted.map(([key]) => key));
    for (const [key, row] of this.cgroups) {
      if (keys.has(key)) continue;
      row.root.remove();
      this.cgroups.delete(key);
    }
    for (const [key, cgroup, counter, i] of wanted) this.drawRow(this.cgroups.get(key) ?? this.addRow(key), cgroup, counter, i === 0);
  }

  addRow(key) {
    const row = {cells: Array.from({length: 8}, () => make("td"))};
    row.remove = button("Remove", () => this.send({do: "rmdir", cgroup: row.path}), {class: "rmdir"});
    row.root = make("tr", {}, ...row.cells, make("td", {}, row.remove));
    this.cgroups.set(key, row);
    this.table.append(row.root);
    return row;
  }

  drawRow(row, cgroup, counter, first) {
    row.path = cgroup.path;
    row.remove.hidden = !first || cgroup.state !== "online" || this.end.hidden;
    const slots = counter?.slots.length ? number(counter.slots.reduce((sum, slot) => sum + slot, 0)) : "released";
    const texts = [first ? `${cgroup.path} (${cgroup.state})` : "", first ? (cgroup.has_slots ? "\u2192 slots" : "NULL \u2192 twin") : "", counter?.name ?? "",
      counter ? number(counter.twin) : "", counter ? slots : "", counter ? number(counter.counted) : "", counter ? number(counter.ledger) : ""];
    texts.forEach((text, i) => set(row.cells[i], text));
    if (!counter) set(row.cells[7], "", "");
    else if (counter.difference === null) set(row.cells[7], "moving", "");
    else if (counter.difference) set(row.cells[7], `\u2715 ${number(Math.abs(counter.difference))} ${counter.difference < 0 ? "lost" : "too many"}`, "bad");
    else set(row.cells[7], counter.in_flight.length ? `0 (in flight: ${counter.in_flight.join(", ")})` : "0", "");
  }

  drawKernel({kernel, stalls}) {
    const {in_progress: open, grace_period: at, waits_for: cpus} = kernel;
    set(this.gracePeriod, open ? `Grace period ${at} waits for ${cpus.length ? list(cpus) : "no CPU any more"}` : `No grace period is waited for; ${at} are over`,
      open && cpus.length ? "grace open" : "grace");
    const states = Object.entries(kernel.cgroups).filter(([, many]) => many).map(([state, many]) => `${many} ${state}`).join(", ");
    set(this.tally, `Cgroups: ${states}; nr_dying_descendants ${kernel.dying}; ${number(kernel.releases)} released, ${number(kernel.caught)} while a CPU was inside an update` +
      `${stalls ? `; stall warnings: ${stalls}` : ""}`);
    set(this.lost, kernel.imbalances.length ? `\u2715 ${kernel.imbalances[0]}${kernel.imbalances.length > 1 ? `, and ${kernel.imbalances.length - 1} more` : ""}` : "");
    for (const [name, kb] of [["percpu", kernel.percpu_kb], ["slab", kernel.slab_kb]]) {
      this.most[name] = Math.max(this.most[name], kb);
      this.bars[name].fill.style.width = `${100 * kb / this.most[name]}%`;
      set(this.bars[name].value, `${number(kb)} kB`);
    }
  }

  drawPages({chunks, more_chunks: more, pages_expected: expected, pages_held: held}) {
    const wanted = new Set(chunks.map(({chunk}) => chunk));
    for (const [chunk, row] of this.chunks) {
      if (wanted.has(chunk)) continue;
      row.root.remove();
      this.chunks.delete(chunk);
    }
    for (const {chunk, populated} of chunks) {
      const row = this.chunks.get(chunk) ?? this.addChunk(chunk, populated.length);
      if (row.populated === populated) continue;
      [...populated].forEach((bit, page) => { row.squares.children[page].className = bit === "1" ? "page there" : "page"; });
      row.populated = populated;
      row.squares.setAttribute("aria-label", `${[...populated].filter((bit) => bit === "1").length} of ${populated.length} pages populated`);
    }
    set(this.pageNote, `${expected === held ? "\u2713" : "\u2715"} ${number(expected)} pages on all CPUs; the operating system holds ${number(held)}${more ? `; ${more} more chunks` : ""}`);
  }

  addChunk(chunk, pages) {
    const squares = make("span", {class: "squares", role: "img"}, ...Array.from({length: pages}, () => make("span", {class: "page"})));
    const row = {squares, root: make("div", {class: "chunk"}, make("span", {}, `chunk ${chunk}`), squares)};
    this.chunks.set(chunk, row);
    this.pages.append(row.root);
    return row;
  }
}
