import { $, LiveCard, clone, page, post, refusal, timeOf } from "./card.js";

const MOST_LINES = 300;

// A tab remembers its name, and whether it was in the room.
const memory = {
  get: (key) => { try { return sessionStorage.getItem(key) ?? ""; } catch { return ""; } },
  set: (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* not remembered */ } },
};

// The ChatCard is a room: the messages, the people, and a field to write in.
export class ChatCard extends LiveCard {
  constructor(spec) {
    super(spec);
    this.log.remove();
    this.talk = $(".talk", this.root);
    this.people = [];
    this.unread = 0;
    this.pinned = true; // the end stays in view
    $(".join", this.root).append(this.toggle);
    $(".join", this.root).addEventListener("submit", (e) => {
      e.preventDefault();
      if (!this.active()) this.open();
    });
    this.toggle.addEventListener("click", () => this.active() || memory.set("joined", ""));
    $(".say", this.root).addEventListener("submit", (e) => {
      e.preventDefault();
      this.send();
    });
    this.newer = $(".newer", this.root);
    this.newer.addEventListener("click", () => this.toEnd());
    this.talk.addEventListener("scroll", () => {
      this.pinned = this.atEnd();
      if (this.pinned) this.read();
    });
    new ResizeObserver(() => this.pinned && this.toEnd()).observe(this.talk);
    this.field("to").addEventListener("change", () => this.showWriter());
    this.field("name").value = memory.get("name");
    this.showRoute();
    this.become("idle", "Choose a name and join. Then open this page in a second window, on any of the ports.");
    this.showPeople();
  }

  get name() {
    return this.field("name").value.trim();
  }

  open() {
    if (this.name === "") {
      this.close();
      this.become("idle", "Choose a name first, so that the others know who is writing.");
      this.field("name").focus();
      return;
    }
    memory.set("name", this.name);
    memory.set("joined", "yes");
    super.open();
  }

  // rejoin enters the room after a reload.
  rejoin() {
    if (memory.get("joined") && this.name) this.open();
  }

  become(state, why) {
    super.become(state, why);
    if (!this.talk) return; // it is not built yet
    if (state === "refused") memory.set("joined", "");
    this.field("name").readOnly = this.active();
    $(".say button", this.root).setAttribute("aria-disabled", state !== "open");
    if (this.active()) this.showWriter();
    else this.setPeople([]);
  }

  clear() {
    super.clear();
    this.talk.replaceChildren();
    this.setPeople([]);
    this.read();
  }

  // Events

  show({ id, type, data }) {
    this.count++;
    this.showCount();
    const body = JSON.parse(data);
    switch (type) {
      case "message":
        return this.showMessage(id, body);
      case "join":
        this.setPeople(body.people);
        return this.showLine(body.name === this.name ? "You have joined." : `${body.name} has joined.`);
      case "leave":
        this.setPeople(body.people);
        return this.showLine(`${body.name} has left.`);
      case "people":
        return this.setPeople(body.people);
      case "gap":
        return this.showLine(body.reason === "restarted"
          ? "Some messages are missing: the server has restarted."
          : "Some messages are missing: the server has dropped them to make room for newer ones.", "gap");
    }
  }

  showMessage(id, { from, to, text, time }) {
    const line = clone("said").firstElementChild;
    const own = from === this.name;
    line.dataset.id = id;
    line.classList.toggle("own", own);
    line.classList.toggle("private", Boolean(to));
    $("b", line).textContent = own ? "You" : from;
    if (to) $(".tag", line).textContent = own ? `private, to ${to === from ? "yourself" : to}` : "private, to you";
    else $(".tag", line).remove();
    const date = new Date(time);
    $("time", line).dateTime = time;
    $("time", line).textContent = timeOf(date);
    $(".text", line).textContent = text;
    this.append(line, own);
  }

  showLine(text, kind = "notice") {
    const line = document.createElement("li");
    line.className = kind;
    line.textContent = text;
    this.append(line);
  }

  // append keeps the end in view for a reader who is there, and counts what is new for
  // one who has scrolled up.
  append(line, always = false) {
    const stay = always || this.pinned;
    this.talk.append(line);
    while (this.talk.children.length > MOST_LINES) this.talk.firstChild.remove();
    if (stay) return this.toEnd();
    this.unread++;
    this.newer.hidden = false;
    this.newer.textContent = this.unread === 1 ? "1 new below" : `${this.unread} new below`;
  }

  atEnd() {
    return this.talk.scrollHeight - this.talk.scrollTop - this.talk.clientHeight < 40;
  }

  toEnd() {
    this.pinned = true;
    this.talk.scrollTop = this.talk.scrollHeight;
    this.read();
  }

  read() {
    this.unread = 0;
    this.newer.hidden = true;
  }

  // People

  setPeople(people) {
    this.people = people;
    this.showPeople();
  }

  showPeople() {
    $(".here", this.root).textContent = this.people.length > 0 ? `Here now: ${this.people.length}` : "Here now";
    $(".people ul", this.root).replaceChildren(...this.people.map((name) => {
      const button = Object.assign(document.createElement("button"), {
        type: "button", textContent: name === this.name ? `${name} (you)` : name, title: `Write only to ${name}`,
      });
      button.addEventListener("click", () => this.address(name));
      const row = document.createElement("li");
      row.append(button);
      return row;
    }));

    // The chosen person stays chosen: a private message should never go to everybody.
    const to = this.field("to");
    const chosen = to.value;
    const names = this.people.filter((name) => name !== this.name);
    const options = [new Option("Everybody", ""), ...names.map((name) => new Option(name, name))];
    if (chosen && !names.includes(chosen)) options.push(new Option(`${chosen} (not here)`, chosen));
    to.replaceChildren(...options);
    to.value = chosen;
    this.showWriter();
  }

  // showWriter says who will see what is written.
  showWriter() {
    const to = this.field("to").value;
    $(".say", this.root).classList.toggle("private", to !== "");
    const text = to ? `Only ${to} will see it` : "Say something";
    this.field("text").placeholder = this.active() ? text : "Join to write";
  }

  // address chooses who gets the next message.
  address(name) {
    const to = this.field("to");
    to.value = name === this.name ? "" : name;
    this.showWriter();
    this.field("text").focus();
  }

  // Writing

  async send() {
    const field = this.field("text");
    const text = field.value.trim();
    if (this.state !== "open") return this.complain("Not sent: you are not in the room.");
    if (text === "" || this.sending) return;
    this.sending = true;
    try {
      const res = await post("/chat", { from: this.name, to: this.field("to").value, text });
      if (res.ok) {
        field.value = "";
        this.complain("");
      } else {
        this.complain(`Not sent. ${await refusal(res, "accepting it")}`);
      }
    } catch {
      this.complain(`Not sent: ${page.site.name || "the server"} cannot be reached.`);
    }
    this.sending = false;
  }

  complain(text) {
    $(".unsent", this.root).textContent = text;
  }
}
