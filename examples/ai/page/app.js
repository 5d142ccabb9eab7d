// Two kinds of streams feed this page. One has the turns of the conversation: each question,
// and each answer once it is whole. The other has the tokens of an answer that is being
// written. So a window that is reloaded or opened later shows the same as the others.
import { render } from "./markdown.js";

const $ = (selector) => document.querySelector(selector);
const base = location.pathname;
const answers = new Map(); // by the ID of their question

// An Answer is shown below its question.
class Answer {
  constructor(id, question) {
    this.id = id;
    this.said = "";
    const asked = document.createElement("li");
    asked.className = "question";
    asked.textContent = question;
    this.li = document.createElement("li");
    this.li.className = "answer";
    this.text = this.li.appendChild(document.createElement("div"));
    this.text.className = "text";
    this.state = this.li.appendChild(document.createElement("div"));
    this.state.className = "state";
    this.li.dataset.state = "writing";
    $("#log").append(asked, this.li);
    $("#empty").hidden = true;
    this.start = setTimeout(() => this.read()); // unless the whole answer follows at once
  }

  // read reads the tokens. The browser reconnects by itself, and resumes where it was.
  read() {
    this.tokens = new EventSource(`${base}/answers/${this.id}`);
    this.tokens.onmessage = (e) => {
      this.said += e.data;
      this.show();
    };
    this.tokens.onerror = () => {
      if (this.tokens.readyState !== EventSource.CLOSED) return;
      // 204: all tokens are here, and the turn follows. Anything else: the server has forgotten.
      setTimeout(() => this.li.dataset.state === "writing" && this.end("lost"), 2000);
    };
  }

  show() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      const below = atEnd();
      this.text.replaceChildren(render(this.said));
      if (below) toEnd();
    });
  }

  // end shows how the answer has ended.
  end(state, text) {
    clearTimeout(this.start);
    this.tokens?.close();
    if (text !== undefined) this.said = text;
    this.li.dataset.state = state;
    this.state.textContent = { stopped: "Stopped", failed: "The answer failed. Ask again.", lost: "The rest of the answer is lost." }[state] ?? "";
    this.show();
  }
}

// writing returns the last answer that is being written.
const writing = () => [...answers.values()].findLast((a) => a.li.dataset.state === "writing");

function update() {
  const busy = writing() !== undefined;
  $("#send").hidden = busy;
  $("#stop").hidden = !busy;
}

const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 80;
const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

function link(state) {
  $("#link").dataset.state = state;
  $("#link").textContent = { live: "live", lost: "reconnecting" }[state];
}

const turns = new EventSource(`${base}/turns`);
turns.onopen = () => link("live");
turns.onerror = () => link("lost");
turns.addEventListener("question", (e) => {
  const { id, text } = JSON.parse(e.data);
  answers.set(id, new Answer(id, text));
  document.title = text.slice(0, 60);
  update();
  toEnd();
});
turns.addEventListener("answer", (e) => {
  const { id, text, state } = JSON.parse(e.data);
  answers.get(id)?.end(state, text);
  update();
});
turns.addEventListener("gap", () => { // the server was restarted, or has dropped old turns
  for (const a of answers.values()) if (a.li.dataset.state === "writing") a.end("lost");
  update();
});

async function ask(text) {
  $("#problem").textContent = "";
  let why;
  try {
    const answer = await fetch(`${base}/questions`, { method: "POST", body: new URLSearchParams({ text }) });
    if (answer.ok) return answer.body.cancel(); // read reads it, as in all windows
    why = await answer.text();
  } catch (e) {
    why = e.message;
  }
  $("#problem").textContent = `Not sent: ${why}`;
  $("textarea").value ||= text;
}

$("form").onsubmit = (e) => {
  e.preventDefault();
  const text = $("textarea").value.trim();
  if (text === "" || writing()) return;
  $("textarea").value = "";
  ask(text);
};
$("textarea").onkeydown = (e) => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
  e.preventDefault();
  $("form").requestSubmit();
};
$("#stop").onclick = () => fetch(`${base}/answers/${writing()?.id}`, { method: "DELETE" }).catch(() => {});
$("#second").onclick = () => open(location.href, "_blank", "popup,width=520,height=820");
$("#theme").onclick = () => {
  const root = document.documentElement;
  localStorage.theme = root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
};
for (const b of document.querySelectorAll(".ideas button")) b.onclick = () => ask(b.textContent);
