import { $, FetchCard } from "./card.js";

// The TokensCard shows an answer as it arrives.
export class TokensCard extends FetchCard {
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
    this.become("idle", "Ask, and the answer appears token by token.");
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
