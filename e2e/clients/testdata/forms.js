// Reads bodies with each client, as its users do, without any precautions:
// node forms.js URL NUMBER. For each client it writes a line of JSON: the data of the
// events that the client finds in the bodies URL/0, URL/1 and so on.
import { Stream as AnthropicStream } from "@anthropic-ai/sdk/streaming";
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { Stream as OpenAIStream } from "openai/streaming";

const [url, number] = process.argv.slice(2);

async function withFetchEventSource(url, got) {
  await fetchEventSource(url, { method: "POST", openWhenHidden: true, onmessage: ({ data }) => got.push(data) });
}

async function withParser(url, got) {
  const { body } = await fetch(url);
  for await (const { data } of body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) got.push(data);
}

async function withOpenAI(url, got) {
  for await (const data of OpenAIStream.fromSSEResponse(await fetch(url), new AbortController())) got.push(JSON.stringify(data));
}

// It takes events of its own types only.
async function withAnthropic(url, got) {
  const res = await fetch(`${url}?each=event:completion%0A`);
  for await (const data of AnthropicStream.fromSSEResponse(res, new AbortController())) got.push(JSON.stringify(data));
}

function withEventSource(url, got) {
  return new Promise((done) => {
    const source = new EventSource(url);
    source.onmessage = ({ data }) => got.push(data);
    source.onerror = () => {
      source.close();
      done();
    };
  });
}

// fetch-event-source is made for browsers.
globalThis.window = globalThis;
globalThis.document = { removeEventListener() {} };

const clients = {
  "fetch-event-source": withFetchEventSource,
  eventsource: withEventSource,
  "eventsource-parser": withParser,
  "openai (npm)": withOpenAI,
  "@anthropic-ai/sdk": withAnthropic,
};
for (const [client, read] of Object.entries(clients)) {
  const all = [];
  for (let i = 0; i < number; i++) {
    const got = [];
    await read(`${url}/${i}`, got).catch((error) => got.push(`${error}`));
    all.push(got);
  }
  console.log(JSON.stringify({ client, got: all }));
}
