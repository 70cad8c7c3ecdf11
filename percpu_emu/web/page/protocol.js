// A protocol in the stepper, with what the search says of it.

import {button, make} from "/page/dom.js";
import {ask} from "/page/socket.js";
import {mountStepper} from "/page/stepper.js";

const PATIENCE = 1500;  // milliseconds, after which it is said what takes so long

// Fills `root` with a stepper of a scenario: of the state `fragment` ("TOKEN/12"), else of the smallest counterexample,
// where there is none of the plain schedule; with `play`, before the first step. `addressed` keeps the state in the
// address, `onState` is called at every step, `keys` is where keys are listened for. Gives back what clears up.
export function protocolPane(root, world, name, options = {}) {
  const said = make("p", {class: "said", role: "status"});
  const inside = make("div"), pane = make("div", {class: "stepper-pane", hidden: true}, inside);
  root.append(said, pane);
  let stepper = null;
  let fragment = options.fragment ?? "";
  let gone = false;
  const slow = setTimeout(() => {
    said.textContent = "The search is being prepared. The first time on a machine it is compiled, for half a minute.";
  }, PATIENCE);

  // The choices are of what `about`, a token, is about: a counterexample may have fewer contexts than its scenario.
  const play = (choices, about) => ask({ask: "play", ...(about ? {token: about} : {scenario: name}), choices});

  function onState(state) {
    if (options.addressed) history.replaceState("step", "", `#${state.link}`);
    options.onState?.(state);
  }

  async function open() {
    const [token, at] = decodeURIComponent(fragment).split("/");
    try {
      const data = await (options.play ? play([]) : ask(token ? {ask: "trace", token} : {ask: "trace", scenario: name}));
      if (gone) return;
      said.textContent = "";
      pane.hidden = false;
      stepper = mountStepper(inside, data, {play, onState, start: Number(at) || 0, keys: options.keys});
    } catch (error) {
      said.textContent = error.message;
      said.append(" ", button("Begin with the shortest way instead", () => { fragment = ""; open(); }));
    } finally {
      clearTimeout(slow);
    }
  }
  open();
  return () => {
    gone = true;
    clearTimeout(slow);
    stepper?.destroy();
  };
}

// A line that says what the exhaustive search finds, once it has.
export function verdictLine(name) {
  const line = make("p", {class: "verdict-line", role: "status"}, "Every interleaving is being tried ...");
  ask({ask: "explore", scenario: name}).then(
    (found) => line.replaceChildren(...verdictText(found)),
    (error) => { line.textContent = error.message; });
  return line;
}

export function verdictText(found) {
  const cost = `${found.states} states in ${milliseconds(found.seconds)}`;
  if (found.verdict === "pass") return [make("strong", {class: "fine"}, "\u2713 proved: "), `no interleaving breaks it (${cost}). Scope: ${found.scope}.`];
  if (found.verdict !== "fail") return [make("strong", {}, "? open: "), `${found.detail} (${cost}).`];
  const missing = found.missing ? ` Missing: ${found.missing}.` : "";
  return [make("strong", {class: "bad"}, `\u2715 ${found.check}: `), `${found.detail}; it takes ${preemptionsText(found.preemptions)}.${missing}`];
}

export function preemptionsText(count) { return count === 0 ? "no preemption" : count === 1 ? "1 preemption" : `${count} preemptions`; }

function milliseconds(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}
