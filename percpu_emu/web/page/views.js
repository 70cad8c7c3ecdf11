// The views that are one thing each: a protocol in the stepper, a machine to play with, the glossary.

import {make} from "/page/dom.js";
import {machinePane} from "/page/machine-pane.js";
import {protocolPane, verdictLine} from "/page/protocol.js";

export function protocolView(root, world, name) {
  root.className = "wide";
  root.append(make("h1", {}, name), verdictLine(name));
  return protocolPane(root, world, name, {fragment: location.hash.slice(1), addressed: true, keys: document});
}

export function machineView(root, world, name) {
  root.className = "wide";
  const pane = make("div");
  root.append(make("h1", {}, `The machine: ${name}`), pane);
  return machinePane(pane, world, {scenario: name, overrides: {seconds: 3600}});
}

export function glossaryView(root, world) {
  root.append(make("h1", {}, "Glossary"), make("dl", {class: "glossary"}, ...world.terms.flatMap(({term, text}) =>
    [make("dt", {}, term), make("dd", {}, text)])));
}
