// Asks each endpoint of the models with the npm clients, and prints what they say of it.
import Anthropic from "@anthropic-ai/sdk";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import OpenAI from "openai";
import { blind } from "./blind.js";

const clients = {
  async openai(base, say) {
    const client = new OpenAI({ baseURL: base + "/v1", apiKey: "key", maxRetries: 0 });
    const stream = await client.chat.completions.create({ model: "m", stream: true, messages: [{ role: "user", content: "Why?" }] });
    for await (const chunk of stream) say(chunk.choices[0]?.delta.content ?? "");
  },

  async "openai, runner"(base, say, note) {
    const client = new OpenAI({ baseURL: base + "/v1", apiKey: "key", maxRetries: 0 });
    const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "Why?" }] });
    stream.on("content", (delta) => say(delta));
    const whole = await stream.finalChatCompletion();
    note({ role: whole.choices[0].message.role });
  },

  async anthropic(base, say) {
    const client = new Anthropic({ baseURL: base, apiKey: "key", maxRetries: 0 });
    const stream = await client.messages.create({ model: "m", max_tokens: 9, stream: true, messages: [{ role: "user", content: "Why?" }] });
    for await (const event of stream) if (event.type === "content_block_delta") say(event.delta.text);
  },

  async "anthropic, helper"(base, say) {
    const client = new Anthropic({ baseURL: base, apiKey: "key", maxRetries: 0 });
    const stream = client.messages.stream({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "Why?" }] });
    stream.on("text", (delta) => say(delta));
    await stream.finalMessage();
  },

  async ai(base, say, note) {
    const transport = new DefaultChatTransport({ api: base + "/api/chat" });
    const chat = new Chat({ id: "one", transport });
    chat.onFinish = ({ isError, isAbort, finishReason }) => note({ isError, isAbort, finishReason });
    await chat.sendMessage({ text: "Why?" });
    for (const part of chat.messages.at(-1).parts) {
      if (chat.messages.at(-1).role === "user") break;
      if (part.type === "text") say(part.text);
      if (part.type.startsWith("tool-")) note({ tool: `${part.type} ${part.state} ${JSON.stringify(part.input)} ${part.errorText ?? JSON.stringify(part.output)}` });
    }
    note({ status: chat.status });
    if (chat.error) throw chat.error;
  },
};

// A broken stream has more than one rejection in some clients. The test shows what is written
// to stderr if this program fails.
process.on("unhandledRejection", (e) => console.error("unhandled:", e));
process.on("uncaughtException", (e) => { console.error(e); process.exit(3); });

const isBlind = await blind();
const results = [];
for await (const line of (await import("node:readline")).createInterface({ input: process.stdin })) {
  const { client, base } = JSON.parse(line);
  results.push((async () => {
    const result = { client, base, blind: isBlind, text: "", error: "" };
    try {
      await clients[client](base, (t) => (result.text += t), (n) => Object.assign(result, n));
    } catch (e) {
      result.error = `${e.constructor.name}: ${e.message}`;
    }
    console.log(JSON.stringify(result));
  })());
}
await Promise.all(results);
