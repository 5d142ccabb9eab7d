import { ask, elsewhere, myTurn, recount, tell } from "./connections.js";
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

// In these states a card has a connection, or the browser will open one for it.
const BUSY = new Set(["connecting", "open", "waiting"]);
const ACTIVE = new Set([...BUSY, "paused", "queued"]);

export const $ = (selector, root = document) => root.querySelector(selector);
export const clone = (id) => $(`template#${id}`).content.cloneNode(true);
export const timeOf = (date) => date.toLocaleTimeString("en-GB");

// page holds what the cards share.
export const page = {
  site: { name: "", port: location.port, origin: location.origin }, // where the streams come from
  sources: {}, // the views' Go code, by file name
  cards: [],
};

// A Card shows one stream: its state, its events, its buttons.
export class Card {
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
    this.byItself = false; // opened by the page, not by a person
    this.inView = false;
    this.toggle.addEventListener("click", () => {
      this.byItself = false;
      if (this.active()) this.close();
      else this.open();
    });
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
    return `curl -N '${page.site.origin}${this.path()}'`;
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
    this.toggle.textContent = (this.spec.verbs ?? ["Open", "Close"])[this.active() ? 1 : 0];
    this.dropper.setAttribute("aria-disabled", state !== "open");
    showMeter();
    if (!BUSY.has(state)) queueMicrotask(openNext);
  }

  // room reports whether there is a connection for this card. If there is none, the
  // card opens when another one has closed, in any tab. A stream that a person has
  // opened takes precedence over one that the page has opened.
  room() {
    if (free() || (!this.byItself && makeRoom())) return true;
    if (this.state !== "queued") {
      const where = elsewhere(page.site.origin) > 0 ? ", over all tabs" : "";
      this.become("queued", `Five streams are open already${where}. This one opens as soon as another ends.`);
      recount(openNext);
      if (!this.byItself) ask(page.site.origin);
    }
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

  // show adds an event to the log, which keeps the latest events.
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

// A LiveCard uses the browser's EventSource, which reconnects without any code.
export class LiveCard extends Card {
  open() {
    this.close();
    if (!this.room()) return;
    this.clear();
    this.lastID = "";
    this.opened = 0;
    this.session = Math.random().toString(36).slice(2); // names the connection for drop
    this.url = page.site.origin + this.path() + (this.path().includes("?") ? "&" : "?") + `session=${this.session}`;
    this.become("connecting", "Waiting for the server's answer.");

    const es = new EventSource(this.url);
    this.es = es;
    es.onopen = () => {
      const again = this.opened++ > 0;
      let why = this.spec.live ?? "Events arrive as they are made.";
      if (again && this.lastID) why = `Open again: the browser sent Last-Event-ID ${this.lastID}, to continue after it.`;
      else if (again) why = "Open again: the browser has reconnected.";
      this.become("open", why);
    };
    es.onerror = () => {
      if (es.readyState === EventSource.CLOSED) this.explain();
      else this.become("waiting", "The response has ended. The browser reconnects after two ticks.");
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

  // drop makes the server cut the connection, as a bad network would.
  drop() {
    if (this.state === "open") post(`/drop?session=${this.session}`).catch(() => {});
  }

  // explain finds out why the browser has given up, which an EventSource does not say: it
  // sends the request once more and looks at the status.
  async explain() {
    const asking = (this.asking = new AbortController());
    const headers = this.lastID ? { "Last-Event-ID": this.lastID } : {};
    let state = "closed", why = "The browser has given up, and the server cannot be reached.";
    try {
      const res = await fetch(this.url, { headers, signal: asking.signal });
      if (res.status === 204) {
        state = "stopped";
        why = "The server answered 204: there is nothing more, so the browser does not reconnect.";
      } else if (!res.ok) {
        state = "refused";
        why = await refusal(res);
      } else {
        why = "The browser has given up. Open it again.";
      }
    } catch {
      if (this.asking !== asking || asking.signal.aborted) return; // closed in the meantime
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
      $(".why", this.root).textContent = `No connection is open. The page reconnects at ${timeOf(new Date(until))}, as the server asked.`;
      this.timer = setTimeout(tick, Math.min(left, 250));
    };
    tick();
  }
}

// A FetchCard reads its stream with fetch, which can tell a broken response from a
// complete one, and can POST.
export class FetchCard extends Card {
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
      const res = await fetch(page.site.origin + this.path(), { ...this.request(), signal: running.signal });
      if (!res.ok) return become("refused", await refusal(res));
      begun = true;
      become("open", "Events arrive as they are made.");
      for await (const e of events(res.body)) {
        if (this.running !== running) return;
        this.show(e);
      }
      become("ended", "The response has ended cleanly, so this is all of it.");
    } catch {
      if (running.signal.aborted) return;
      if (begun) become("broken", "The response broke off before its end, so something is missing.");
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

// refusal describes an answer that is not a stream.
export async function refusal(res, wanted = "a stream") {
  let text = (await res.text()).trim();
  try {
    const body = JSON.parse(text);
    text = body.error ?? body.message; // gin's field and echo's
  } catch { /* net/http and fiber answer in plain text */ }
  return `The server answered ${res.status} instead of ${wanted}: ${String(text).slice(0, 100)}`;
}

export function post(path, body) {
  return fetch(page.site.origin + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
}

const busy = () => page.cards.filter((c) => BUSY.has(c.state)).length;
const spare = () => page.cards.filter((c) => BUSY.has(c.state) && c.byItself);
const left = () => MOST_STREAMS - busy() - elsewhere(page.site.origin);
const free = () => left() > 0;

// showMeter shows how many connections are in use, and tells the other tabs.
export function showMeter() {
  const here = busy(), there = elsewhere(page.site.origin);
  $("#meter").textContent = `${here} of ${CONNECTIONS} connections in use${there > 0 ? `, and ${there} in other tabs` : ""}`;
  document.querySelectorAll(".pips i").forEach((pip, i) => {
    pip.classList.toggle("on", i < here);
    pip.classList.toggle("other", i >= here && i < here + there);
  });
  tell(page.site.origin, here, spare().length);
}

// openNext gives a free connection to a card that waits for one.
export function openNext() {
  if (free()) page.cards.find((c) => c.state === "queued")?.open();
}

// makeRoom closes a stream that the page, not a person, has opened, if possible one that
// is out of view. It reports whether there is a free connection now.
export function makeRoom() {
  const card = leastWanted();
  card?.close("closed", "Closed to free its connection for the stream that you opened. You can open it again.");
  return card !== undefined && free();
}

function leastWanted() {
  const cards = spare();
  return cards.findLast((c) => !c.inView) ?? cards.at(-1);
}

// share is called when other tabs' counts have changed. It uses a free connection, or
// gives one back that two tabs have taken at the same time.
export function share() {
  if (left() < 0 && myTurn()) {
    leastWanted()?.close("queued", "Another tab has taken the last connection. This one opens as soon as a stream ends.");
  }
  openNext();
}

// showSource shows the Go function that returns the stream.
function showSource(name) {
  const found = Object.entries(page.sources).flatMap(([file, text]) => {
    const code = text.match(new RegExp(`(// .*\\n)*func \\(d \\*demo\\) ${name}\\([^]*?\\n}\\n`));
    return code ? [{ file, code: code[0] }] : [];
  });
  $("#source-title").textContent = found.length > 0 ? `${found[0].file}: ${name}` : name;
  $("#source code").textContent = found[0]?.code ?? "The source has not been loaded.";
  $("#source").showModal();
}
