import { fetchEventSource } from "@microsoft/fetch-event-source";
import { body, leave, say, stay, url } from "./ask.js";

class Stop extends Error {}

// The package is made for browsers.
globalThis.window = globalThis;
globalThis.document = { removeEventListener() {} };
const left = new AbortController();
let seen = 0;

await fetchEventSource(url, {
  method: body ? "POST" : "GET",
  body: body || undefined,
  signal: left.signal,
  openWhenHidden: true,
  async onopen(response) {
    if (response.status !== 200) throw new Stop();
    say("open");
  },
  onmessage({ id, event, data }) {
    if (!id && !event && !data) return; // it mistakes comments for events
    say("event", { id, type: event, data });
    if (++seen === leave) {
      left.abort();
      stay();
    }
  },
  onclose() {
    if (body) return say("end");
    throw new Error("come back"); // as an EventSource does
  },
  onerror(error) {
    say(error instanceof Stop ? "stopped" : "again");
    if (error instanceof Stop || body) throw error;
  },
}).catch((error) => {
  if (!(error instanceof Stop)) throw error;
});
