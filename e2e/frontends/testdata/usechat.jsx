import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { createRoot } from "react-dom/client";

const transport = new DefaultChatTransport({ api: "/api/chat" });

function Chat({ stored }) {
  const { messages, sendMessage, status, error } = useChat({ id: "one", messages: stored, resume: true, transport });
  return (
    <main data-status={status}>
      {messages.flatMap((m) => m.parts).filter((p) => p.type === "tool-weather").map((p) => <p key={p.toolCallId} className="tool">{p.state}: {p.errorText}</p>)}
      {messages.map((m) => <p key={m.id} className={m.role}>{m.parts.filter((p) => p.type === "text").map((p) => p.text)}</p>)}
      {error && <p className="error">{error.message}</p>}
      <button id="ask" onClick={() => sendMessage({ text: "Why?" })}>Ask</button>
      <button id="tool" onClick={() => sendMessage({ text: "Will it rain?" })}>Ask for a tool</button>
      <button id="stop" onClick={() => fetch("/api/chat/one", { method: "DELETE" })}>Stop</button>
    </main>
  );
}

const stored = await (await fetch("/stored")).json();
createRoot(document.body.appendChild(document.createElement("div"))).render(<Chat stored={stored} />);
