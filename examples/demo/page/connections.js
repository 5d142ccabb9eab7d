// A browser opens at most six connections to a host, over all its tabs. So the tabs of
// this page tell each other how many they hold, and may ask for one.

const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel("connections") : undefined;
const me = Math.random().toString(36).slice(2);
const others = new Map(); // from a tab to { origin, count, spare }
const heard = new Map(); // from a tab to the time of its last message
let mine = { origin: location.origin, count: 0, spare: 0 };
let told = mine;

const send = (message) => channel?.postMessage({ from: me, ...message });

// elsewhere returns how many connections to origin other tabs hold.
export function elsewhere(origin) {
  let sum = 0;
  for (const o of others.values()) if (o.origin === origin) sum += o.count;
  return sum;
}

// tell tells the other tabs how many connections this one holds, and how many of them
// are spare: no person has asked for them. It waits for the end of the current task, so
// that a connection that passes from one stream to the next never counts as free.
export function tell(origin, count, spare) {
  mine = { origin, count, spare };
  queueMicrotask(() => {
    if (mine.origin === told.origin && mine.count === told.count && mine.spare === told.spare) return;
    told = mine;
    send({ type: "count", ...mine });
  });
}

// myTurn reports whether this tab has to close a stream, when several tabs have opened
// one at the same moment and hold too many together. Of the tabs with a spare one, it
// is the tab whose name comes last.
export function myTurn() {
  return mine.spare > 0 && ![...others].some(([tab, o]) => o.origin === mine.origin && o.spare > 0 && tab > me);
}

// ask asks the other tabs to close a spare stream.
export const ask = (origin) => send({ type: "ask", origin });

// recount forgets tabs that have ended without a message, and then calls done.
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

// listen calls changed when another tab's count has changed, and asked when another tab
// needs a connection.
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
