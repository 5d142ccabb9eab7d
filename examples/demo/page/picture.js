import { $, LiveCard } from "./card.js";

const COLUMNS = 8, SIZE = 48; // as in picture.go

// The PictureCard draws the tiles of a picture as they arrive.
export class PictureCard extends LiveCard {
  constructor(spec) {
    super(spec);
    this.log.remove();
    this.canvas = $("canvas", this.root);
    this.clear();
  }

  clear() {
    super.clear();
    this.bytes = 0;
    if (this.canvas) this.canvas.width = this.canvas.width; // erases it
  }

  show({ id, type, data }) {
    if (type !== "tile") return;
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    this.draw(Number(id) - 1, new Blob([bytes], { type: "image/png" }));
    this.count++;
    this.bytes += bytes.length;
    this.showCount();
  }

  async draw(n, png) {
    const session = this.session;
    const tile = await createImageBitmap(png);
    if (this.session !== session) return; // of a picture that has been erased
    this.canvas.getContext("2d").drawImage(tile, (n % COLUMNS) * SIZE, Math.floor(n / COLUMNS) * SIZE);
    tile.close();
  }

  showCount() {
    $(".count", this.root).textContent = this.count === 0 ? "" : `${this.count} tiles, ${Math.ceil(this.bytes / 1000)} kB`;
  }
}
