import { $, LiveCard, clone, timeOf } from "./card.js";

const MOST_ITEMS = 100;

// The NewsCard is a list of items, the newest first.
export class NewsCard extends LiveCard {
  constructor(spec) {
    super(spec);
    this.log.classList.add("items");
    this.log.setAttribute("aria-label", "News, the newest first");
  }

  show({ id, data }) {
    const { section, headline, time } = JSON.parse(data);
    const item = clone("item").firstElementChild;
    item.dataset.id = id;
    $(".section", item).textContent = section;
    $("time", item).dateTime = time;
    $("time", item).textContent = timeOf(new Date(time));
    $(".headline", item).textContent = headline;

    // A reader who has scrolled down stays there.
    const { scrollTop, scrollHeight } = this.log;
    this.log.prepend(item);
    if (scrollTop > 0) this.log.scrollTop = scrollTop + this.log.scrollHeight - scrollHeight;
    while (this.log.children.length > MOST_ITEMS) this.log.lastChild.remove();
    this.count++;
    this.showCount();
  }

  showCount() {
    $(".count", this.root).textContent = this.count === 0 ? "" : this.count === 1 ? "1 item" : `${this.count} items`;
  }
}
