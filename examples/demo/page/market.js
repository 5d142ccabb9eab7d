import { $, LiveCard, clone } from "./card.js";

const FRAME = 100; // ms between two frames: prices come faster than anybody can read
const POINTS = 120; // of a chart

const price = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "always" });
const whole = new Intl.NumberFormat("en");

// The TickerCard is a table of prices that move.
export class TickerCard extends LiveCard {
  constructor(spec) {
    super(spec);
    this.log.remove();
    this.table = $("tbody", this.root);
    this.rows = new Map(); // from a symbol to its row
    for (const box of this.boxes()) {
      box.addEventListener("change", () => {
        this.layOut();
        this.showRoute();
        if (this.active()) this.open();
      });
    }
    this.layOut();
  }

  boxes() {
    return [...this.root.querySelectorAll(".symbols input")];
  }

  symbols() {
    return this.boxes().filter((b) => b.checked).map((b) => b.value);
  }

  path() {
    return `/ticker?symbols=${this.symbols().join()}`;
  }

  open() {
    if (this.symbols().length > 0) return super.open();
    this.close();
    this.become("closed", "No symbol is chosen. Choose one, then open the stream.");
  }

  clear() {
    this.skipped = 0;
    super.clear();
    this.layOut();
  }

  // layOut makes a row without a price for each symbol.
  layOut() {
    this.rows.clear();
    this.table.replaceChildren(...this.symbols().map((symbol) => {
      const root = clone("quote").firstElementChild;
      root.dataset.symbol = symbol;
      $("th", root).textContent = symbol;
      this.rows.set(symbol, { root, points: [], shown: undefined, quote: undefined });
      return root;
    }));
  }

  show({ data }) {
    const quote = JSON.parse(data);
    const row = this.rows.get(quote.symbol);
    if (!row) return;
    if (row.quote) this.skipped += quote.n - row.quote.n - 1;
    row.quote = quote;
    this.count++;
    this.drawing ??= setTimeout(() => this.draw(), FRAME);
  }

  showCount() {
    $(".count", this.root).textContent =
      this.count === 0 ? "" : `${whole.format(this.count)} prices, ${whole.format(this.skipped)} skipped`;
  }

  draw() {
    this.drawing = undefined;
    this.showCount();
    for (const row of this.rows.values()) if (row.quote) drawRow(row);
  }
}

function drawRow(row) {
  const { root, points, quote } = row;
  const before = row.shown ?? quote.price;
  row.shown = quote.price;
  root.dataset.move = quote.price > before ? "up" : quote.price < before ? "down" : "same";
  $(".arrow", root).textContent = { up: "\u25b2", down: "\u25bc", same: "" }[root.dataset.move];
  $(".price", root).textContent = price.format(quote.price);
  const change = quote.price / quote.open - 1;
  root.dataset.day = change < 0 ? "down" : "up";
  $(".change", root).textContent = percent.format(change);
  points.push(quote.price);
  if (points.length > POINTS) points.shift();
  drawChart($("svg", root), points);
}

// drawChart draws the latest prices, scaled from the lowest to the highest.
function drawChart(svg, points) {
  const low = Math.min(...points), high = Math.max(...points);
  const y = (p) => (high === low ? 20 : 37 - ((p - low) / (high - low)) * 34).toFixed(1);
  const from = POINTS - points.length; // the latest price is at the right
  const line = points.map((p, i) => `${from + i},${y(p)}`).join(" ");
  $("polyline", svg).setAttribute("points", line);
  $("polygon", svg).setAttribute("points", `${from},40 ${line} ${POINTS - 1},40`);
}
