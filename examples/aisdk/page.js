// A page with useChat. It has no build: index.html says where the packages are.
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";

const id = "one"; // of the chat; yours comes from the page's address
const transport = new DefaultChatTransport({ api: "/api/chat" });

function Chat({ stored }) {
  const { messages, sendMessage, status, error } = useChat({ id, messages: stored, resume: true, transport });
  const busy = status === "submitted" || status === "streaming";
  const ask = (e) => {
    e.preventDefault();
    sendMessage({ text: e.target.elements.text.value });
    e.target.reset();
  };
  const stop = () => fetch(`/api/chat/${id}`, { method: "DELETE" }); // useChat's own stop only stops reading
  const text = (m) => m.parts.filter((p) => p.type === "text").map((p) => p.text).join("");
  return h("main", { "data-status": status },
    messages.map((m) => h("p", { key: m.id, className: m.role }, text(m))),
    error && h("p", { className: "error" }, error.message),
    h("form", { onSubmit: ask },
      h("input", { name: "text", required: true, autoFocus: true, autoComplete: "off", "aria-label": "Your question", placeholder: "Ask something" }),
      busy ? h("button", { type: "button", onClick: stop }, "Stop") : h("button", null, "Ask")));
}

const stored = await (await fetch(`/api/chat/${id}`)).json();
createRoot(document.body.appendChild(document.createElement("div"))).render(h(Chat, { stored }));
