// A browser opens six connections to a host, for all tabs together. So the tabs
// of this page tell each other how many they hold, and may ask for one.

const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel("connections") : undefined;
const me = Math.random().toString(36).slice(2);
const others = new Map(); // of a tab to { origin, count, spare }
const heard = new Map(); // of a tab to the time of its last word
let mine = { origin: location.origin, count: 0, spare: 0 };
let told = mine;

const send = (message) => channel?.postMessage({ from: me, ...message });

// elsewhere is how many connections to origin other tabs hold.
export function elsewhere(origin) {
  let sum = 0;
  for (const o of others.values()) if (o.origin === origin) sum += o.count;
  return sum;
}

// tell tells the other tabs how many connections this one holds, and how many of
// them nobody has asked for. It waits until the page has done what it is doing:
// a connection that goes from one stream to the next is never free in between.
export function tell(origin, count, spare) {
  mine = { origin, count, spare };
  queueMicrotask(() => {
    if (mine.origin === told.origin && mine.count === told.count && mine.spare === told.spare) return;
    told = mine;
    send({ type: "count", ...mine });
  });
}

// myTurn says whether it is this tab that has to close a stream, when tabs have
// opened one at the same moment and hold too many together: of those that have
// one to spare, the tab whose name comes last.
export function myTurn() {
  return mine.spare > 0 && ![...others].some(([tab, o]) => o.origin === mine.origin && o.spare > 0 && tab > me);
}

// ask asks the other tabs to close a stream that nobody has asked for.
export const ask = (origin) => send({ type: "ask", origin });

// recount forgets tabs that have ended without a word, and then calls back.
export function recount(done) {
  const begin = performance.now();
  send({ type: "hello" });
  setTimeout(() => {
    for (const tab of [...others.keys()]) {
      if ((heard.get(tab) ?? 0) < begin) others.delete(tab);
    }
    done();
  }, 1000);
}

// listen calls back when others' count has changed, and when another tab needs a
// connection.
export function listen(changed, asked) {
  channel?.addEventListener("message", ({ data }) => {
    switch (data.type) {
      case "hello":
        send({ type: "count", ...mine });
        break;
      case "count":
        heard.set(data.from, performance.now());
        others.set(data.from, data);
        changed();
        break;
      case "ask":
        asked(data.origin);
    }
  });
  addEventListener("pagehide", () => send({ type: "count", ...mine, count: 0, spare: 0 }));
  addEventListener("pageshow", () => send({ type: "count", ...mine }));
  send({ type: "hello" });
}
