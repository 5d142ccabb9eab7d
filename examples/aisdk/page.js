// A page with useChat. It has no build: index.html says where the packages are.
import { Chat, useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";

const id = "one"; // of the chat; yours comes from the page's address
const load = async () => (await fetch(`/api/chat/${id}`)).json();
const busy = (status) => status === "submitted" || status === "streaming";

class Transport extends DefaultChatTransport {
  async reconnectToStream(options) {
    const stream = await super.reconnectToStream(options);
    if (stream === null) { // the answer may have ended after the messages were loaded
      const stored = await load();
      if (!busy(chat.status)) chat.messages = stored;
    }
    return stream;
  }
}

const chat = new Chat({ id, messages: await load(), transport: new Transport({ api: "/api/chat" }) });

function Page() {
  const { messages, sendMessage, status, error } = useChat({ chat, resume: true });
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
      busy(status) ? h("button", { type: "button", onClick: stop }, "Stop") : h("button", null, "Ask")));
}

createRoot(document.body.appendChild(document.createElement("div"))).render(h(Page));
