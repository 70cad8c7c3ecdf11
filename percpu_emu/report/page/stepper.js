// The stepper: a trace to go through forwards and backwards, and, where a server answers, with a choice of who moves next.

import {bringInto, capital, glossed, make} from "/page/dom.js";
import {drawState, stateAt} from "/page/stepper-state.js";

const MARKUP = `
<header><h1 id="scenario"></h1><p id="summary"></p><span id="verdict" class="verdict"></span></header>
<nav aria-label="Steps">
  <button id="to-start" title="To the start (Home)" aria-label="To the start">|&lt;</button>
  <button id="back" class="wide" title="One step back (Left)"><span aria-hidden="true">&larr;</span> <span class="label">Back</span><span class="unseen">one step</span></button>
  <button id="play" class="wide" title="Play or pause (Space)"><span id="play-label">Play</span></button>
  <button id="next" class="wide" title="One step on (Right)"><span class="label">Next</span> <span aria-hidden="true">&rarr;</span><span class="unseen">one step on</span></button>
  <button id="to-end" title="To the end (End)" aria-label="To the end">&gt;|</button>
  <button id="guilty" class="blame" title="To the next step to blame (g)" aria-label="To the next step to blame">!!<span class="label"> Step to blame</span></button>
  <input id="slider" type="range" min="0" value="0" aria-label="Step">
  <output id="count" for="slider"></output>
  <span class="label"><kbd>&larr;</kbd> <kbd>&rarr;</kbd> <kbd>Home</kbd> <kbd>End</kbd> <kbd>g</kbd> <kbd>Space</kbd></span>
</nav>
<section id="movers" aria-label="Who moves next" hidden><h2>Who moves next? (keys 1 to 9)</h2><ol></ol><p id="departed" role="status"></p></section>
<section id="told" aria-label="What happens"><p id="step" aria-live="polite"></p><p id="burst"></p><p id="closing"></p></section>
<main>
  <section class="pane" id="source" aria-label="Source"><h2>Source</h2><div class="scroll" tabindex="0" aria-label="Source of the programs"></div></section>
  <section class="pane" id="list" aria-label="Steps"><h2>Steps</h2><div class="scroll"><div id="lanes" aria-hidden="true"></div><ol id="steps"></ol></div></section>
  <section class="pane" id="state" aria-label="State"><h2>State</h2><div class="scroll" tabindex="0" aria-label="State after the step">
    <section><h2>Words</h2><table><thead><tr><th>word</th><th>value</th><th id="ledger-title"></th></tr></thead><tbody id="words"></tbody></table></section>
    <section><h2>Per-CPU memory and objects</h2><ul id="memory"></ul></section>
    <section><h2>Contexts</h2><ul id="contexts"></ul></section>
    <section><h2>Grace periods</h2><ul id="waits"></ul></section>
  </div></section>
</main>`;
const BEAT = 1400;  // milliseconds between two steps of "Play"

// Fills `root`; one at a time on a page. `options`:
//   start    after how many steps it opens
//   keys     where its keys are listened for, `root` where the page has other uses for them
//   play     (choices, about) -> promise of the data after these choices: makes "who moves next" appear
//   onState  called with {n, total, link, data, preemptions} at every step; `preemptions` where `play` is given
export function mountStepper(root, first, options = {}) {
  return new Stepper(root, first, options);
}

class Stepper {
  constructor(root, first, options) {
    this.root = root;
    this.options = options;
    this.keys = options.keys ?? root;
    this.recorded = first;
    this.timer = null;
    this.find = (id) => root.querySelector(`#${id}`);
    root.classList.add("stepper");
    root.tabIndex = -1;
    root.innerHTML = MARKUP;
    this.find("movers").hidden = !options.play;
    this.actions = {
      "to-start": () => this.go(0), back: () => this.go(this.n - 1), next: () => this.go(this.n + 1), "to-end": () => this.go(this.total),
      guilty: () => this.toGuilty(), play: () => this.playOrPause(),
    };
    this.onKey = (event) => this.key(event);
    this.keys.addEventListener("keydown", this.onKey);
    for (const [id, action] of Object.entries(this.actions)) {
      this.find(id).addEventListener("click", (event) => {
        if (id !== "play") this.pause();
        action();
        if (event.detail) event.currentTarget.blur();  // by pointer: the space bar plays again
      });
    }
    this.find("slider").addEventListener("input", (event) => { this.pause(); this.go(Number(event.target.value)); });
    this.find("steps").addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      this.pause();
      this.go(Number(link.dataset.step));
    });
    this.show(first, options.start ?? 0);
  }

  destroy() {
    this.pause();
    this.data = null;  // an answer that is still to come is ignored
    this.keys.removeEventListener("keydown", this.onKey);
    this.root.replaceChildren();
  }

  // --- going from step to step

  show(data, n) {
    this.data = data;
    this.total = data.steps.length;
    this.guilty = data.steps.flatMap((step, i) => step.guilty ? [i + 1] : []);
    this.acting = new Set(this.options.play ? data.contexts.keys() : data.steps.map((step) => step.context));
    this.ahead = new Map(data.next ? [[this.total, data]] : []);  // by number of steps: what was answered for so many
    this.drawOnce();
    this.go(n);
  }

  go(to) {
    this.n = Math.max(0, Math.min(this.total, Number.isInteger(to) ? to : 0));
    this.draw();
    this.drawMovers();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.find("play-label").textContent = "Play";
  }

  playOrPause() {
    if (this.timer) return this.pause();
    if (this.n === this.total) this.go(0);
    this.find("play-label").textContent = "Pause";
    this.timer = setInterval(() => { this.go(this.n + 1); if (this.n === this.total) this.pause(); }, BEAT);
  }

  toGuilty() {
    if (this.guilty.length) this.go(this.guilty.find((at) => at > this.n) ?? this.guilty[0]);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const typing = event.target.closest?.("input, textarea, select");
    if (typing && typing !== this.find("slider")) return;
    if (event.key === " " && event.target.closest?.("button, summary, a")) return;
    const action = {ArrowLeft: "back", ArrowRight: "next", Home: "to-start", End: "to-end", g: "guilty", " ": "play"}[event.key];
    const number = Number(event.key);
    if (!action && !(this.options.play && number >= 1 && number <= 9)) return;
    event.preventDefault();
    if (action !== "play") this.pause();
    if (action) this.actions[action]();
    else this.choose(number - 1);
  }

  // --- who moves next

  async drawMovers() {
    const {n, data} = this;
    if (!this.options.play) return this.tell();
    const movers = this.find("movers");
    movers.setAttribute("aria-busy", "true");  // they are those of the state before
    if (!this.ahead.has(n)) {
      try {
        const found = await this.options.play(data.choices.slice(0, n), data.token);
        if (data === this.data) this.ahead.set(n, found);
      } catch (error) {
        if (data === this.data) this.find("departed").textContent = error.message;
      }
    }
    if (n !== this.n || data !== this.data || !this.ahead.has(n)) return;  // the learner was faster
    const here = this.ahead.get(n);
    movers.querySelector("ol").replaceChildren(...here.next.map((option, i) => this.mover(option, i)));
    movers.setAttribute("aria-busy", "false");
    const departed = this.find("departed");
    departed.textContent = "";
    if (data !== this.recorded && this.recorded.steps.length) {
      departed.textContent = "These are your own steps. ";
      const back = make("button", {type: "button", id: "recorded"}, "Back to those it began with");
      back.addEventListener("click", () => this.show(this.recorded, Math.min(this.n, this.recorded.steps.length)));
      departed.append(back);
    }
    this.tell(here.preemptions);
  }

  mover(option, i) {
    const blocked = Boolean(option.why_not);
    const button = make("button", {type: "button", "aria-disabled": blocked && "true"}, i < 9 ? make("kbd", {}, String(i + 1)) : "", " ",
      make("span", {class: "who"}, capital(option.who)), " ", blocked ? option.why_not : make("code", {}, option.text));
    button.addEventListener("click", () => this.choose(i));
    return make("li", {}, button);
  }

  async choose(i) {
    const {n, data} = this;
    const option = this.ahead.get(n)?.next[i];
    if (!option || option.why_not) return;
    if (data.choices[n] === option.choice) return this.go(n + 1);
    try {
      const fresh = await this.options.play([...data.choices.slice(0, n), option.choice], data.token);
      if (n === this.n && data === this.data) this.show(fresh, fresh.steps.length);
    } catch (error) {
      if (data === this.data) this.find("departed").textContent = error.message;
    }
  }

  tell(preemptions) {
    const {n, total, data} = this;
    this.options.onState?.({n, total, data, preemptions, link: `${data.token}/${n}`});
  }

  // --- what is drawn once

  drawOnce() {
    const {data, find} = this;
    find("scenario").textContent = data.scenario;
    find("summary").textContent = data.summary;
    find("verdict").textContent = data.violation ? `!! ${data.violation.check}: ${data.violation.detail}` : "no violation in this run";
    find("verdict").classList.toggle("bad", Boolean(data.violation));
    find("slider").max = this.total;
    find("guilty").hidden = this.guilty.length === 0;
    find("ledger-title").textContent = data.ledgers.length ? "ledger" : "";
    this.drawSources();
    this.drawSteps();
  }

  drawSources() {
    this.find("source").querySelector(".scroll").replaceChildren(...this.data.sources.map((source, number) => {
      const rows = source.lines.map((line, i) => make("div", {"data-line": source.first + i},
        make("span", {class: "at"}), make("span", {class: "no"}, String(source.first + i)), make("span", {class: "text"}, line || " ")));
      const caption = make("figcaption", {}, make("code", {}, source.program), ` in ${source.file}`);
      return make("figure", {"data-source": String(number)}, caption, make("div", {class: "code"}, ...rows));
    }));
  }

  drawSteps() {
    const {data, find} = this;
    find("list").style.setProperty("--lanes", data.lanes.map(() => data.lanes.length > 2 ? "38px" : "46px").join(" "));
    const titles = data.lanes.map((lane) => make("span", {}, lane.replace("coordinator", "coord.")));
    find("lanes").replaceChildren(make("span"), make("span"), ...titles, make("span"));
    const first = new Set(data.bursts.map((burst) => burst.first));
    find("steps").replaceChildren(...data.steps.map((step, i) => make("li", {class: first.has(i) ? "burst" : ""}, this.stepLink(step, i))));
  }

  stepLink(step, i) {
    const {kind, who} = this.data.contexts[step.context];
    const inner = ["interrupt", "sent", "callback", "work"].includes(kind);
    const dots = this.data.lanes.map((_, lane) =>
      make("span", {class: "lane" + (lane === step.lane ? (inner ? " acts inner" : " acts") : "")}));
    const mark = kind === "interrupt" || kind === "sent" ? "irq> " : kind === "callback" ? "rcu: " : kind === "work" ? "work: " : "";
    return make("a", {href: `#${i + 1}`, "data-step": String(i + 1), class: step.quiet ? "quiet" : "", tabindex: "-1"},
      make("span", {class: "mark"}, markOf(step)), make("span", {class: "no"}, String(i + 1)), ...dots,
      make("span", {class: "what"}, make("span", {class: "unseen"}, `${who}: `),
        make("code", {}, mark + step.text), step.effect ? make("small", {}, step.effect.replaceAll("->", "\u2192")) : ""));
  }

  // --- what is drawn at each step

  draw() {
    const {n, data, total, find, acting} = this;
    const state = stateAt(data, n);
    const step = n ? data.steps[n - 1] : null;
    this.drawTold(step);
    this.drawSource(step, state);
    this.drawList();
    drawState(find, {data, step, state, acting});
    find("slider").value = n;
    find("slider").setAttribute("aria-valuetext", `step ${n} of ${total}`);
    find("count").textContent = `${n} of ${total}`;
    for (const id of ["to-start", "back"]) find(id).disabled = n === 0;
    for (const id of ["to-end", "next"]) find(id).disabled = n === total;
  }

  drawTold(step) {
    const {n, data, total, find} = this;
    const mark = step ? markOf(step) : "";
    const begin = total ? `${total} steps follow. Press the right arrow key, or Next.` : "Choose who takes the first step.";
    find("step").replaceChildren(...(step
      ? [`${mark && `${mark} `}Step ${n}. ${capital(data.contexts[step.context].who)}: `, make("code", {}, step.text),
         step.effect ? make("code", {class: "effect"}, step.effect.replaceAll("->", "\u2192")) : ""]
      : ["The start: no context has taken a step yet."]));
    find("burst").replaceChildren(...glossed(step ? step.told : begin, data.glossary));
    find("closing").replaceChildren(...glossed(n === total && data.violation ? data.closing.join(" ") : "", data.glossary));
    find("told").classList.toggle("bad", Boolean(step && step.guilty) || (n === total && Boolean(data.violation)));
  }

  drawSource(step, state) {
    const {data, find} = this;
    for (const row of find("source").querySelectorAll(".code > div")) {
      row.className = "";
      row.querySelector(".at").replaceChildren();
    }
    for (const figure of find("source").querySelectorAll("figure")) figure.classList.remove("here");
    data.contexts.forEach((context, i) => {
      const row = this.rowOf(this.nextOf(i));
      if (!row || state.contexts[i].state === "not started") return;
      row.classList.add("stands");
      const how = state.contexts[i].state === "waiting" ? "waits here" : "goes on here";
      row.querySelector(".at").append(make("span", {class: "chip", title: `${context.who} ${how}`}, short(context)));
    });
    const row = this.rowOf(step);
    if (!row) return;
    row.classList.add("now");
    row.classList.toggle("guilty", step.guilty);
    const mark = markOf(step) || "\u25b6";
    row.querySelector(".at").append(make("span", {class: "chip acts"}, `${mark} ${short(data.contexts[step.context])}`));
    row.closest("figure").classList.add("here");
    bringInto(find("source").querySelector(".scroll"), row, 56);
  }

  // What a context does next: in a later step, or where the steps end and the reader may choose.
  nextOf(context) {
    const {data, n} = this;
    return data.steps.slice(n).find((step) => step.context === context) ?? data.next?.find((option) => option.context === context);
  }

  rowOf(step) {
    if (!step || step.line === null) return null;
    return this.root.querySelector(`figure[data-source="${step.source}"] [data-line="${step.line}"]`);
  }

  drawList() {
    const pane = this.find("list").querySelector(".scroll");
    this.find("steps").querySelectorAll("a").forEach((link, i) => {
      const current = i + 1 === this.n;
      if (current) link.setAttribute("aria-current", "step"); else link.removeAttribute("aria-current");
      link.tabIndex = current || (this.n === 0 && i === 0) ? 0 : -1;
      link.classList.toggle("later", i + 1 > this.n);
      if (current) bringInto(pane, link, 48);
    });
    if (this.n === 0) pane.scrollTop = 0;
  }
}

// What stands in front of a step: it is to blame for the violation, or suffers from one that is.
function markOf(step) {
  return step.guilty ? "!!" : step.victim ? "->" : "";
}

function short({kind, cpu, name, who}) {
  if (kind === "task") return who === "the coordinator" ? "coord." : who.startsWith("CPU") ? who : name;
  return {interrupt: `irq ${cpu}`, sent: `irq ${cpu}`, callback: "rcu", work: "work", offline: "hotplug"}[kind] ?? name;
}
