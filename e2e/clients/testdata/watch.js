import { leave, say, url } from "./ask.js";

// watch reads the stream with an EventSource.
export function watch(EventSource) {
  let seen = 0;
  const source = new EventSource(url);
  process.stdin.resume(); // Node's own does not keep the process alive between connections
  source.onopen = () => say("open");
  source.onerror = () => say(source.readyState === EventSource.CLOSED ? "stopped" : "again");
  for (const type of ["message", "add", "token", "last"]) {
    source.addEventListener(type, ({ lastEventId, data }) => {
      say("event", { id: lastEventId, type: type === "message" ? "" : type, data });
      if (++seen === leave) {
        source.close();
        say("left");
      }
    });
  }
}
