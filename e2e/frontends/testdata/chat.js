// Uses a chat of the AI SDK as useChat does with resume: true, against each server.
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { blind } from "./blind.js";

const textOf = (chat) => chat.messages.at(-1)?.parts.filter((p) => p.type === "text").map((p) => p.text).join("") ?? "";
const settled = async (chat, ok) => {
  for (let i = 0; i < 3000 && !ok(chat); i++) await new Promise((done) => setTimeout(done, 10));
  if (!ok(chat)) throw new Error(`the chat has the text ${JSON.stringify(textOf(chat))} and is ${chat.status}`);
};

async function use(base) {
  const open = (messages) => new Chat({ id: "one", messages, transport: new DefaultChatTransport({ api: base + "/api/chat" }) });
  const go = (what) => fetch(base + "/" + what, { method: "POST" });
  const seen = [];

  const first = open([]);
  await first.resumeStream(); // as on the first load: 204
  seen.push(first.status, first.messages.length);

  first.sendMessage({ text: "Why?" });
  await settled(first, (c) => textOf(c) === "Be");
  await first.stop(); // the page is left
  const second = open(first.messages.slice(0, 1)); // what the server has stored
  const resumed = second.resumeStream();
  await settled(second, (c) => textOf(c) === "Be");
  await go("say");
  await resumed;
  seen.push(textOf(second), second.status, second.messages.length);
  const third = open(second.messages);
  await third.resumeStream(); // when it has ended: 204
  seen.push(textOf(third), third.status, third.messages.length);

  // The stop button stops the run. The chat does not call that an abort, nor finished.
  let end;
  third.onFinish = (e) => end = `aborted: ${e.isAbort}, reason: ${e.finishReason}`;
  third.sendMessage({ text: "And?" });
  await settled(third, (c) => c.messages.length === 4 && textOf(c) === "Be");
  await fetch(base + "/api/chat/one", { method: "DELETE" });
  await settled(third, (c) => c.status === "ready");
  seen.push(textOf(third), third.status, end);

  // An answer that fails is still an error after a reload.
  third.sendMessage({ text: "So?" });
  await settled(third, (c) => c.messages.length === 6 && textOf(c) === "Be");
  await go("fail");
  await settled(third, (c) => c.status === "error" || c.status === "ready");
  const fourth = open(third.messages.slice(0, 5));
  await fourth.resumeStream();
  seen.push(third.status, textOf(fourth), fourth.status);
  return seen.join("|");
}

const isBlind = await blind();
for await (const line of (await import("node:readline")).createInterface({ input: process.stdin })) {
  const { base } = JSON.parse(line);
  const result = { client: "chat", base, text: "", error: "", blind: isBlind };
  try {
    result.text = await use(base);
  } catch (e) {
    result.error = String(e.stack);
  }
  console.log(JSON.stringify(result));
}
