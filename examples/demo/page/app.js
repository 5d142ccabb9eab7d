import { $, FetchCard, LiveCard, makeRoom, page, post, refusal, share, showMeter } from "./card.js";
import { ChatCard } from "./chat.js";
import { listen } from "./connections.js";
import { TickerCard } from "./market.js";
import { NewsCard } from "./news.js";
import { PictureCard } from "./picture.js";
import { TokensCard } from "./tokens.js";

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
    id: "chat", title: "A chat room", kind: ChatCard, params: ["name"], types: ["join", "leave", "people", "gap"],
    verbs: ["Join", "Leave"], live: "You are in the room: people on all ports read what you write.",
    about: "One hub for all frameworks. Drop the connection: nothing is lost, and nothing comes twice.",
  },
  {
    id: "ticker", title: "Prices that move", kind: TickerCard, auto: "now",
    about: "Far more prices than anybody can read. A slow client skips to the latest price of each symbol.",
  },
  {
    id: "news", title: "News with a history", kind: NewsCard, auto: "now", params: ["section"],
    about: "It begins with the news so far, and continues with each new item.",
  },
  {
    id: "stream", title: "A stream that resumes", auto: "now", params: ["user_id"], types: ["add"],
    about: "An ID, a type and JSON each tick. Drop the connection: the stream continues where it left off.",
  },
  {
    id: "tokens", title: "An answer, token by token", method: "POST", kind: TokensCard,
    about: "A POST with a streamed answer. Every space, tab and line break arrives as it was sent.",
  },
  {
    id: "time", title: "The server's time", auto: "seen",
    about: "The shortest view: only data, every three ticks.",
    on: (card, e) => ($(".clock", card.root).textContent = e.data.split(": ").at(-1)),
  },
  {
    id: "progress", title: "A job's progress", auto: "seen", params: ["job"], types: ["progress"],
    about: "The job continues while nobody watches. Drop the connection, and get what you missed.",
    on: (card, e) => showProgress(card, Number(e.data)),
  },
  {
    id: "events", title: "A few sentences", types: ["done"],
    about: "A finite stream says when it is done, and the page closes it.",
    on: (card, e) => e.type === "done" && card.close("ended", "The server said done, so the page has closed the stream."),
  },
  {
    id: "picture", title: "A picture, piece by piece", kind: PictureCard, types: ["tile", "done"],
    about: "Each tile is a PNG, sent as base64. Drop the connection: only the missing tiles are sent.",
    on: (card, e) => e.type === "done" && card.close("ended", "The server said done, so the page has closed the stream."),
  },
  {
    id: "notice", title: "Unread notices", params: ["token"], types: ["notice"],
    about: "The unread notices, then the end. When the browser reconnects, 204 stops it. A wrong token gets 403.",
  },
  {
    id: "pause", title: "Come back later", types: ["pause"],
    about: "The server names a time. The page disconnects, and reconnects then.",
    on: (card, e) => e.type === "pause" && card.rest(Number(e.data)),
  },
  {
    id: "fail", title: "A failure that shows", kind: FetchCard,
    about: "The generator fails after three events. The client sees a broken response, not a complete one.",
  },
];

// choose switches the streams to another framework.
function choose(next, serving) {
  const before = page.cards.filter((c) => c.active() && (c.spec.auto || c.spec.id === "chat"));
  for (const card of page.cards) card.close();
  page.site = next;
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
    try { localStorage.theme = theme; } catch { /* kept only until the page is closed */ }
  });
}

function setUpCards() {
  for (const spec of SPECS) {
    const card = new (spec.kind ?? LiveCard)(spec);
    page.cards.push(card);
    $("#cards").append(card.root);
    for (const name of spec.params ?? []) {
      if (card instanceof LiveCard) card.field(name).addEventListener("change", () => card.active() && card.open());
    }
  }
  const notice = page.cards.find((c) => c.spec.id === "notice");
  $(".send", notice.root).addEventListener("click", () => sendNotice(notice));
}

// openByItself opens some cards at once, and others when they first come into view.
function openByItself() {
  const open = (card) => {
    if (card.state !== "idle") return;
    card.byItself = true;
    card.open();
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = page.cards.find((c) => c.root === entry.target);
      card.inView = entry.isIntersecting;
      if (card.inView) open(card);
    }
  });
  for (const card of page.cards.filter((c) => c.spec.auto)) {
    if (card.spec.auto === "now") open(card);
    seen.observe(card.root);
  }
}

setUpTheme();
setUpCards();
listen(() => { showMeter(); share(); }, (origin) => origin === page.site.origin && makeRoom());
setTimeout(openByItself, 200); // when other tabs have said how many connections they hold
try {
  const info = await (await fetch("info")).json();
  page.sources = info.sources;
  page.site.name = info.serving;
  showSites(info);
  $("#tick").textContent = `One tick is ${info.tick / 1000} s here.`;
  $("#served").textContent = `This page and its streams are served by ${info.serving}.`;
  page.cards.find((c) => c.spec.id === "chat").rejoin();
} catch {
  $("#served").textContent = "The server cannot be reached.";
}
