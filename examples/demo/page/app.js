import { events } from "./reader.js";

// The sixth connection to a host is left for requests.
const CONNECTIONS = 6;
const MOST_STREAMS = CONNECTIONS - 1;
const MOST_ROWS = 50;
const LONGEST_PAUSE = 10 * 60 * 1000;

const WORDS = {
  idle: "Not open",
  connecting: "Connecting",
  open: "Open",
  waiting: "Waiting to reconnect",
  paused: "Paused",
  ended: "Ended",
  stopped: "Stopped by the server",
  refused: "Refused",
  broken: "Broken",
  closed: "Closed",
  queued: "Waiting for a free connection",
};

// In these states a card has a connection, or the browser will take one for it.
const BUSY = new Set(["connecting", "open", "waiting"]);
const ACTIVE = new Set([...BUSY, "paused", "queued"]);

const $ = (selector, root = document) => root.querySelector(selector);
const clone = (id) => $(`template#${id}`).content.cloneNode(true);
const timeOf = (date) => date.toLocaleTimeString("en-GB");

let site; // where the streams come from: { name, port, origin }
let source = ""; // the views' Go code
const cards = [];

// A Card shows one stream: its state, its events, its buttons.
class Card {
  constructor(spec) {
    this.spec = spec;
    this.root = clone("card").firstElementChild;
    this.root.id = spec.id;
    this.root.setAttribute("aria-labelledby", `${spec.id}-title`);
    $("h2", this.root).id = `${spec.id}-title`;
    $("h2", this.root).textContent = spec.title;
    $(".about", this.root).textContent = spec.about;
    const extra = $(`template#extra-${spec.id}`);
    if (extra) $(".extra", this.root).append(extra.content.cloneNode(true));
    else $(".extra", this.root).remove();

    this.log = $(".log", this.root);
    this.toggle = $(".toggle", this.root);
    this.dropper = $(".drop", this.root);
    this.count = 0;
    this.toggle.addEventListener("click", () => (this.active() ? this.close() : this.open()));
    this.dropper.addEventListener("click", () => this.drop());
    $(".source", this.root).addEventListener("click", () => showSource(spec.id));
    const copy = $(".copy", this.root);
    if (navigator.clipboard) copy.addEventListener("click", () => this.copy(copy));
    else copy.remove();
    for (const input of this.root.querySelectorAll("[name]")) {
      input.addEventListener("input", () => this.showRoute());
    }
    this.showRoute();
    this.become("idle", "Open it to connect.");
  }

  field(name) {
    return $(`[name=${name}]`, this.root);
  }

  // path is the request's path and query, as a person would write it.
  path() {
    const params = new URLSearchParams();
    for (const name of this.spec.params ?? []) params.set(name, this.field(name).value);
    const query = params.toString();
    return `/${this.spec.id}${query && "?" + query}`;
  }

  curl() {
    return `curl -N '${site.origin}${this.path()}'`;
  }

  showRoute() {
    $(".route code", this.root).textContent = `${this.spec.method ?? "GET"} ${decodeURIComponent(this.path())}`;
  }

  async copy(button) {
    await navigator.clipboard.writeText(this.curl());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy curl"), 1500);
  }

  get state() {
    return this.root.dataset.state;
  }

  active() {
    return ACTIVE.has(this.state);
  }

  // become goes to a state and says why.
  become(state, why) {
    this.root.dataset.state = state;
    $(".word", this.root).textContent = WORDS[state];
    $(".why", this.root).textContent = why;
    this.toggle.textContent = this.active() ? "Close" : "Open";
    this.dropper.setAttribute("aria-disabled", state !== "open");
    showMeter();
    if (!BUSY.has(state)) queueMicrotask(openNext);
  }

  // room says whether there is a connection for this card. If there is none, the
  // card opens when another one has closed.
  room() {
    if (busy() < MOST_STREAMS) return true;
    if (this.state !== "queued") this.become("queued", "Five streams are open already. This one opens as soon as another ends.");
    return false;
  }

  clear() {
    this.log.replaceChildren();
    this.count = 0;
    this.showCount();
  }

  showCount() {
    $(".count", this.root).textContent = this.count === 0 ? "" : this.count === 1 ? "1 event" : `${this.count} events`;
  }

  // show adds an event to the log, which keeps the latest.
  show({ id, type, data }) {
    const row = clone("row");
    $(".id", row).textContent = id ? `id ${id}` : "no id";
    $(".id", row).classList.toggle("none", !id);
    $(".type", row).textContent = type;
    $("time", row).textContent = timeOf(new Date());
    $(".data", row).textContent = data;
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 24;
    this.log.append(row);
    while (this.log.children.length > MOST_ROWS) this.log.firstChild.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
    this.count++;
    this.showCount();
  }
}

// A LiveCard is over the browser's own EventSource, which reconnects by itself.
class LiveCard extends Card {
  open() {
    this.close();
    if (!this.room()) return;
    this.clear();
    this.lastID = "";
    this.opened = 0;
    this.session = Math.random().toString(36).slice(2); // by which it can be dropped
    this.url = site.origin + this.path() + (this.path().includes("?") ? "&" : "?") + `session=${this.session}`;
    this.become("connecting", "Waiting for the server's answer.");

    const es = new EventSource(this.url);
    this.es = es;
    es.onopen = () => {
      const again = this.opened++ > 0;
      let why = "Events arrive as they are made.";
      if (again && this.lastID) why = `Open again: the browser sent Last-Event-ID ${this.lastID}, to go on after it.`;
      else if (again) why = "Open again, after the browser has reconnected by itself.";
      this.become("open", why);
    };
    es.onerror = () => {
      if (es.readyState === EventSource.CLOSED) this.explain();
      else this.become("waiting", "The response has ended. The browser asks again by itself, two ticks later.");
    };
    for (const type of ["message", ...(this.spec.types ?? [])]) {
      es.addEventListener(type, (e) => {
        this.lastID = e.lastEventId;
        this.show({ id: e.lastEventId, type: e.type, data: e.data });
        this.spec.on?.(this, e);
      });
    }
  }

  close(state = "closed", why = "You have closed it, and the server's generator has ended.") {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.es?.close();
    this.es = undefined;
    if (this.active()) this.become(state, why);
  }

  // drop has the server cut the connection, as a bad network would.
  drop() {
    if (this.state === "open") post(`/drop?session=${this.session}`).catch(() => {});
  }

  // explain finds out why the browser has given up, which it tells nobody: it asks
  // once more and looks at the status.
  async explain() {
    const asking = (this.asking = new AbortController());
    const headers = this.lastID ? { "Last-Event-ID": this.lastID } : {};
    let state = "closed", why = "The browser has given up, and the server cannot be reached.";
    try {
      const res = await fetch(this.url, { headers, signal: asking.signal });
      if (res.status === 204) {
        state = "stopped";
        why = "It answered 204: there is nothing more, so the browser does not ask again.";
      } else if (!res.ok) {
        state = "refused";
        why = await refusal(res);
      } else {
        why = "The browser has given up. Open it again.";
      }
    } catch {
      if (this.asking !== asking || asking.signal.aborted) return; // closed meanwhile
    }
    asking.abort();
    if (this.asking === asking && this.es) this.close(state, why);
  }

  // rest closes the stream until the time that the server has named.
  rest(until) {
    this.close();
    this.become("paused", "");
    const tick = () => {
      const left = until - Date.now();
      if (!(left > 0 && left < LONGEST_PAUSE)) return this.open();
      $(".why", this.root).textContent = `No connection is held. It comes back at ${timeOf(new Date(until))}, when the server said.`;
      this.timer = setTimeout(tick, Math.min(left, 250));
    };
    tick();
  }
}

// A FetchCard reads its stream with fetch, which knows a broken response from a
// whole one, and can POST.
class FetchCard extends Card {
  constructor(spec) {
    super(spec);
    this.dropper.remove();
  }

  request() {
    return {};
  }

  async open() {
    this.close();
    if (!this.room()) return;
    const running = (this.running = new AbortController());
    this.clear();
    this.become("connecting", "Waiting for the server's answer.");
    const become = (state, why) => this.running === running && this.become(state, why);
    let begun = false;
    try {
      const res = await fetch(site.origin + this.path(), { ...this.request(), signal: running.signal });
      if (!res.ok) return become("refused", await refusal(res));
      begun = true;
      become("open", "Events arrive as they are made.");
      for await (const e of events(res.body)) {
        if (this.running !== running) return;
        this.show(e);
      }
      become("ended", "The response has ended cleanly, so this is the whole of it.");
    } catch {
      if (running.signal.aborted) return;
      if (begun) become("broken", "The response broke off before its end: this is not the whole.");
      else become("closed", "The server cannot be reached.");
    }
  }

  close() {
    const active = this.active();
    this.running?.abort();
    this.running = undefined;
    if (active) this.become("closed", "You have stopped it, and the server's generator has ended.");
  }
}

// The TokensCard types an answer as it comes.
class TokensCard extends FetchCard {
  constructor(spec) {
    super(spec);
    this.log.remove();
    this.toggle.replaceWith($(".check", this.root));
    this.answer = $(".answer", this.root);
    this.asker = $(".ask .main", this.root);
    $(".ask", this.root).addEventListener("submit", (e) => {
      e.preventDefault();
      if (this.active()) this.close();
      else this.ask(JSON.stringify({ prompt: this.field("prompt").value }));
    });
    $(".bad", this.root).addEventListener("click", () => this.ask('{"prompt": '));
    $(".seams", this.root).addEventListener("change", (e) => this.answer.classList.toggle("split", e.target.checked));
    this.become("idle", "Ask, and the answer types itself.");
  }

  ask(body) {
    this.body = body;
    this.open();
  }

  request() {
    return { method: "POST", headers: { "Content-Type": "application/json" }, body: this.body };
  }

  curl() {
    const body = JSON.stringify({ prompt: this.field("prompt").value }).replaceAll("'", "'\\''");
    return `${super.curl()} -d '${body}'`;
  }

  become(state, why) {
    super.become(state, why);
    if (this.asker) this.asker.textContent = this.active() ? "Stop" : "Ask";
  }

  clear() {
    super.clear();
    this.answer.replaceChildren();
  }

  show({ data }) {
    const token = document.createElement("span");
    token.textContent = data;
    const box = this.answer;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    box.append(token);
    if (atEnd) box.scrollTop = box.scrollHeight;
    this.count++;
    this.showCount();
  }

  showCount() {
    $(".count", this.root).textContent =
      this.count === 0 ? "" : `${this.count} tokens, ${[...this.answer.textContent].length} characters`;
  }
}

// refusal puts an answer that is no stream into words.
async function refusal(res) {
  let text = (await res.text()).trim();
  try {
    const body = JSON.parse(text);
    text = body.error ?? body.message; // gin's word and echo's
  } catch { /* net/http and fiber answer in plain text */ }
  return `It answered ${res.status} instead of a stream: ${String(text).slice(0, 100)}`;
}

function post(path, body) {
  return fetch(site.origin + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
}

const NOTICES = [
  "Your parcel is on its way.",
  "Somebody has answered you: 你好!",
  "The build is green again.",
  "Lunch is at noon.",
];
let noticesSent = 0;

async function sendNotice(card) {
  try {
    const text = NOTICES[noticesSent++ % NOTICES.length];
    const res = await post(`/notice?token=${encodeURIComponent(card.field("token").value)}`, { text });
    if (!res.ok) {
      card.close();
      card.become("refused", await refusal(res));
    } else if (!card.active()) {
      card.open();
    }
  } catch {
    card.close();
    card.become("closed", "The server cannot be reached.");
  }
}

function showProgress(card, percent) {
  $(".progress", card.root).setAttribute("aria-valuenow", percent);
  $(".progress i", card.root).style.inlineSize = `${percent}%`;
  $(".percent", card.root).textContent = `${percent} %`;
}

const SPECS = [
  {
    id: "stream", title: "A ticker that resumes", auto: true, params: ["user_id"], types: ["add"],
    about: "An ID, a type and JSON each tick. Drop the connection: it goes on where it was.",
  },
  {
    id: "tokens", title: "An answer, token by token", method: "POST", kind: TokensCard,
    about: "A POST whose answer streams. Every space, tab and line break arrives as it was sent.",
  },
  {
    id: "time", title: "The server's time", auto: true,
    about: "The shortest view: data alone, every three ticks.",
    on: (card, e) => ($(".clock", card.root).textContent = e.data.split(": ").at(-1)),
  },
  {
    id: "progress", title: "A job's progress", auto: true, params: ["job"], types: ["progress"],
    about: "The job goes on while nobody looks. Drop it, and hear what you have missed.",
    on: (card, e) => showProgress(card, Number(e.data)),
  },
  {
    id: "events", title: "A few sentences", types: ["done"],
    about: "A finite stream says when it is done, and the page closes it.",
    on: (card, e) => e.type === "done" && card.close("ended", "The server said done, so the page has closed the stream."),
  },
  {
    id: "notice", title: "Unread notices", params: ["token"], types: ["notice"],
    about: "What is unread, then the end. When the browser asks again, 204 stops it. A wrong token gets 403.",
  },
  {
    id: "pause", title: "Come back later", types: ["pause"],
    about: "The server names a time. The page hangs up, and calls again then.",
    on: (card, e) => e.type === "pause" && card.rest(Number(e.data)),
  },
  {
    id: "fail", title: "A failure that shows", kind: FetchCard,
    about: "The generator fails after three events. The client sees a broken response, not a short one.",
  },
];

const busy = () => cards.filter((c) => BUSY.has(c.state)).length;

function showMeter() {
  $("#meter").textContent = `${busy()} of ${CONNECTIONS} connections in use`;
  document.querySelectorAll(".pips i").forEach((pip, i) => pip.classList.toggle("on", i < busy()));
}

// openNext gives a connection that is free to a card that waits for one.
function openNext() {
  if (busy() < MOST_STREAMS) cards.find((c) => c.state === "queued")?.open();
}

// showSource shows the Go function that makes a stream.
function showSource(name) {
  const code = source.match(new RegExp(`(// .*\\n)*func \\(d \\*demo\\) ${name}\\([^]*?\\n}\\n`));
  $("#source-title").textContent = `views.go: ${name}`;
  $("#source code").textContent = code?.[0] ?? "The source has not been loaded.";
  $("#source").showModal();
}

// choose makes another framework the one that the streams come from.
function choose(next, serving) {
  const before = cards.filter((c) => c.active() && c.spec.auto);
  for (const card of cards) card.close();
  site = next;
  $("#served").textContent = next.name === serving
    ? `This page and its streams are served by ${serving}.`
    : `This page is served by ${serving}; its streams come from ${next.name}, across origins.`;
  for (const card of before) card.open();
}

function showSites({ serving, sites }) {
  const box = $("#sites .segments");
  for (const { name, port } of sites) {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "site", value: name, checked: name === serving });
    const origin = `${location.protocol}//${location.hostname}:${port}`;
    radio.addEventListener("change", () => choose({ name, port, origin }, serving));
    const text = document.createElement("span");
    text.append(name, Object.assign(document.createElement("small"), { textContent: `:${port}` }));
    label.append(radio, text);
    box.append(label);
  }
}

function setUpTheme() {
  const button = $("#theme");
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  show(document.documentElement.dataset.theme || "auto");
  button.addEventListener("click", () => {
    const order = ["auto", "light", "dark"];
    const theme = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
    show(theme);
    try { localStorage.theme = theme; } catch { /* it lasts until the page is closed */ }
  });
}

function setUpCards() {
  // Some cards open when they are first seen.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((e) => e.isIntersecting)) {
      const card = cards.find((c) => c.root === entry.target);
      seen.unobserve(card.root);
      if (card.state === "idle") card.open();
    }
  });
  for (const spec of SPECS) {
    const card = new (spec.kind ?? LiveCard)(spec);
    cards.push(card);
    $("#cards").append(card.root);
    if (spec.auto) seen.observe(card.root);
    for (const input of card.root.querySelectorAll(".extra [name]")) {
      if (card instanceof LiveCard) input.addEventListener("change", () => card.active() && card.open());
    }
  }
  const notice = cards.find((c) => c.spec.id === "notice");
  $(".send", notice.root).addEventListener("click", () => sendNotice(notice));
}

setUpTheme();
site = { name: "", port: location.port, origin: location.origin };
setUpCards();
try {
  const info = await (await fetch("info")).json();
  source = info.source;
  site.name = info.serving;
  showSites(info);
  $("#tick").textContent = `One tick is ${info.tick / 1000} s here.`;
  $("#served").textContent = `This page and its streams are served by ${info.serving}.`;
} catch {
  $("#served").textContent = "The server cannot be reached.";
}
