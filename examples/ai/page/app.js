// Two streams feed this page, one at a time: a browser has only six connections to a server,
// for all windows. One has the turns of the conversation: each question, and each answer once
// it has ended. The other has the tokens of an answer that is being written. Both begin at
// the beginning, so a window that is reloaded or opened later shows the same as the others.
import { render } from "./markdown.js";

const $ = (selector) => document.querySelector(selector);
const base = location.pathname;
const answers = new Map(); // by the ID of their question

// An Answer is shown below its question.
class Answer {
  constructor(id, question) {
    this.id = id;
    this.said = "";
    this.refused = 0; // how often its tokens were
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
  }

  show() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      const below = atEnd();
      this.text.replaceChildren(render(this.said));
      if (below) toEnd();
    });
  }

  // end shows how the answer has ended. One that people have seen growing is read to those
  // who only hear it.
  end(state, text = this.said) {
    if (this.li.dataset.state === state && this.said === text) return;
    this.said = text;
    this.li.dataset.state = state;
    this.state.textContent = {
      stopped: "Stopped",
      cut: "The model was not allowed to say more.",
      failed: "The answer failed. Ask again.",
      lost: "The rest of the answer is lost.",
    }[state] ?? "";
    this.show();
    if (this.read) $("#spoken").textContent = `${text} ${this.state.textContent}`;
    update();
  }
}

// writing returns the first answer that is being written. Two windows may ask at once.
const writing = () => [...answers.values()].find((a) => a.li.dataset.state === "writing");

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

let source, timer;

// connect reads a stream instead of the one before. The browser reconnects by itself, and
// resumes where it was, except after a refusal, such as 503: then the turns are read again.
function connect(path, { opened, refused, ...events }) {
  source?.close();
  clearTimeout(timer);
  const s = source = new EventSource(base + path);
  s.onopen = () => {
    link("live");
    opened?.();
  };
  s.onerror = () => {
    link("lost");
    if (s.readyState !== EventSource.CLOSED) return;
    clearTimeout(timer);
    timer = setTimeout(follow, 1000);
    refused?.();
  };
  for (const [type, on] of Object.entries(events)) s.addEventListener(type, on);
}

// follow reads the turns. Those that are shown already come again, and change nothing.
function follow() {
  // An answer that is being written is read when no more turns have followed for a moment.
  const settle = () => {
    clearTimeout(timer);
    timer = setTimeout(() => writing() && read(writing()), 50);
  };
  connect("/turns", {
    opened: settle,
    question(e) {
      const { id, text } = JSON.parse(e.data);
      if (!answers.has(id)) {
        answers.set(id, new Answer(id, text));
        document.title = text.slice(0, 60);
        update();
        toEnd();
        kept(text);
      }
      settle();
    },
    answer(e) {
      const { id, text, state } = JSON.parse(e.data);
      answers.get(id)?.end(state, text); // a question may have been dropped
      settle();
    },
  });
}

// read reads the tokens of an answer. The last event says how it has ended.
function read(a) {
  a.read = true;
  a.said = "";
  const end = (e) => {
    a.end(e.type);
    follow();
  };
  connect(`/answers/${a.id}`, {
    opened: () => a.refused = 0,
    refused() { // the turns say how it has ended; if they do not, the server has forgotten
      if (++a.refused === 3) a.end("lost");
    },
    message(e) {
      a.said += e.data;
      a.show();
    },
    done: end, stopped: end, cut: end, lost: end, failed: end,
  });
}

follow();

const problem = (text) => $("#problem").textContent = text;
let sending = false;
let asked; // what was sent last, until the server has kept it

// kept is called when the server has kept a question.
function kept(text) {
  if (text !== asked) return;
  asked = undefined;
  problem("");
  if ($("textarea").value.trim() === text) $("textarea").value = "";
}

// ask sends a question. It stays in the field until the server says that it has kept it, or
// it comes back as a turn.
async function ask(text) {
  if (text === "" || sending || writing()) return;
  problem("");
  asked = text;
  sending = $("textarea").readOnly = true;
  try {
    const response = await fetch(`${base}/questions`, { method: "POST", body: new URLSearchParams({ text }) });
    if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let got = ""; !got.includes("event: asked\n");) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the server has not kept the question");
      got += value;
    }
    reader.cancel(); // the tokens come as in all windows
    kept(text);
  } catch (e) {
    if (asked === undefined) return; // only the answer to this request is lost
    problem(`Not sent: ${e.message}`);
    $("textarea").value ||= text;
  } finally {
    sending = $("textarea").readOnly = false;
  }
}

async function stop() {
  const a = writing();
  if (!a) return;
  problem("");
  try {
    const response = await fetch(`${base}/answers/${a.id}`, { method: "DELETE" });
    if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
  } catch (e) {
    problem(`Not stopped: ${e.message}`);
  }
}

$("form").onsubmit = (e) => {
  e.preventDefault();
  ask($("textarea").value.trim());
};
$("textarea").onkeydown = (e) => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
  e.preventDefault();
  $("form").requestSubmit();
};
$("#stop").onclick = stop;
$("#second").onclick = () => open(location.href, "_blank", "popup,width=520,height=820");
$("#theme").onclick = () => {
  const root = document.documentElement;
  localStorage.theme = root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
};
for (const b of document.querySelectorAll(".ideas button")) b.onclick = () => ask(b.textContent);
