// Runs one after the other, and a bar for the figure of each: measured here and now.

import {button, make} from "/page/dom.js";
import {seed} from "/page/machine-pane.js";
import {listenToMachine, tell} from "/page/socket.js";

export function chartPane(root, world, chart) {
  const said = make("p", {role: "status"});
  const bars = chart.bars.map((bar) => ({bar, fill: make("span", {class: `bar ${bar.group === "first" ? "other" : ""}`}), value: make("span", {class: "value"}, "-")}));
  const grid = make("div", {class: "chart"}, ...bars.flatMap(({bar, fill, value}) => [make("span", {}, bar.label), make("span", {}, fill), value]));
  const start = button("\u25b6 Measure it here", measure);
  root.append(make("h2", {}, chart.title), start, said, grid);
  let gone = false;

  async function measure() {
    start.disabled = true;
    let most = 0;
    for (const entry of bars) {
      said.textContent = `${entry.bar.label} ...`;
      try {
        entry.figure = chart.figure.split(".").reduce((at, key) => at[key], (await ran(entry.bar)).figures);
      } catch (error) {
        said.textContent = error.message;
        break;
      }
      if (gone) return;
      most = Math.max(most, entry.figure);
      for (const {figure, fill, value} of bars.filter((other) => other.figure !== undefined)) {
        fill.style.width = `${100 * figure / most}%`;
        value.textContent = `${(figure / 1e6).toFixed(0)} ${chart.unit}`;
      }
    }
    if (bars.every(({figure}) => figure !== undefined)) said.textContent = "Measured just now; another time, or with other work beside it, it differs.";
    start.disabled = false;
  }

  // A run's report. Programs run as they are, without the points at which a learner can slow them down.
  function ran(bar) {
    return new Promise((resolve, reject) => {
      listenToMachine((message) => {
        if (message.report) resolve(message.report);
        else if (message.error) reject(new Error(message.error));
        else if (message.progress?.what) said.textContent = `${bar.label}: ${message.progress.what}`;
      });
      tell({do: "start", scenario: bar.scenario, overrides: {...bar.overrides, ...seed(world)}, plain: true});
    });
  }

  return () => {
    gone = true;
    listenToMachine(null);
    tell({do: "end"});
  };
}
