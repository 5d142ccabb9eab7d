import { EventSourceParserStream } from "eventsource-parser/stream";
import { body, lastEventId, leave, say, stay, url } from "./ask.js";

const response = await fetch(url, {
  method: body ? "POST" : "GET",
  body: body || undefined,
  headers: lastEventId ? { "Last-Event-ID": lastEventId } : {},
});
if (response.status === 200) {
  say("open");
  await read(response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()));
} else {
  say("stopped");
}

async function read(events) {
  let seen = 0;
  try {
    for await (const { id, event, data } of events) {
      say("event", { id, type: event, data });
      if (++seen === leave) break; // cancels the response
    }
  } catch {
    return say("broken");
  }
  if (seen === leave) return stay();
  say("end");
}
