// A chat. It has no build: index.html says where the package is.
import Anthropic from "@anthropic-ai/sdk";

// A page must not have a real key, and this server wants none.
const client = new Anthropic({ baseURL: new URL(".", location.href).href, apiKey: "none", dangerouslyAllowBrowser: true });
const messages = [];
const form = document.querySelector("form");
const [ask, stop] = form.querySelectorAll("button");

function show(role, text) {
  const p = document.querySelector("main").appendChild(document.createElement("p"));
  p.className = role;
  p.textContent = text;
  return p;
}

form.addEventListener("submit", async (e) => {
  e.preventDefault();
  if (ask.hidden) return; // an answer is being written
  messages.push({ role: "user", content: form.text.value });
  show("user", form.text.value);
  form.reset();
  const answer = show("assistant", "");
  const stream = client.messages.stream({ model: "echo", max_tokens: 1000, messages });
  stream.on("text", (delta) => answer.append(delta));
  stop.onclick = () => stream.abort();
  ask.hidden = !(stop.hidden = false);
  try {
    await stream.done();
  } catch (e) {
    if (!(e instanceof Anthropic.APIUserAbortError)) show("error", e.message);
  }
  ask.hidden = !(stop.hidden = true);
  messages.push({ role: "assistant", content: answer.textContent });
});
