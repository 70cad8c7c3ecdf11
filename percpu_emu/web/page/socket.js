// The connection of this tab to its own processes: requests that are answered, and a machine that tells what it does.

let socket = null;
let number = 0;
const open = [];
const waiting = new Map();
let machine = () => {};
let state = () => {};

function connect() {
  socket = new WebSocket(`ws://${location.host}/tab`);
  socket.addEventListener("open", () => {
    state("");
    for (const text of open.splice(0)) socket.send(text);
  });
  socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    socket = null;
    const why = event.reason || "the connection is closed: is percpu-emu demo still running?";
    state(`${why} Reload this page to go on.`);
    fail(why);
  });
}

function take(message) {
  if (message.error) return state(message.error);
  const {from, says} = message;
  if (message.ended !== undefined) {
    if (from === "explorer") fail("the search ended unexpectedly; what is asked next starts it again");
    else machine({error: "the machine's process ended; it can be started again"});
  } else if (from === "machine") machine(says);
  else settle(says);
}

function settle(answer) {
  const asked = waiting.get(answer.id);
  if (!asked) return;
  waiting.delete(answer.id);
  if (answer.error) asked.reject(new Error(answer.error));
  else asked.resolve(answer);
}

function fail(why) {
  for (const asked of waiting.values()) asked.reject(new Error(why));
  waiting.clear();
}

function send(message) {
  const text = JSON.stringify(message);
  if (!socket) connect();
  if (socket.readyState === WebSocket.OPEN) socket.send(text);
  else open.push(text);
}

// Ask the explorer: {ask: "play", scenario, choices}. A promise of its answer; it is rejected with a sentence.
export function ask(question) {
  const id = ++number;
  return new Promise((resolve, reject) => {
    waiting.set(id, {resolve, reject});
    send({to: "explorer", id, ...question});
  });
}

// Tell the machine: {do: "start", scenario}. Every listener receives what it says.
export function tell(command) { send({to: "machine", ...command}); }

export function listenToMachine(listener) { machine = listener ?? (() => {}); }

export function onConnection(listener) { state = listener; }

// A page that is left may be kept by the browser, with its connection: its processes end, and it begins anew if shown again.
window.addEventListener("pagehide", () => { socket?.close(); });
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
