// A machine of this tab's own, running one scenario. There is one at a time.

import {mountMachine} from "/page/machine.js";
import {listenToMachine, tell} from "/page/socket.js";

// Starts it in `root`; gives back what ends it.
export function machinePane(root, world, run) {
  const drawing = mountMachine(root, tell, start);
  function start() { tell({do: "start", scenario: run.scenario, overrides: {...run.overrides, ...seed(world)}}); }
  listenToMachine((message) => drawing.show(message));
  start();
  return () => {
    listenToMachine(null);
    tell({do: "end"});
    drawing.destroy();
  };
}

export function seed(world) { return world.seed === null ? {} : {seed: world.seed}; }
