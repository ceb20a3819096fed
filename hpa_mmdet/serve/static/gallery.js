// Many cells that the model gives one class, of which the wrong ones are clicked away.
import { getJson } from "./api.js";
import { byId, make } from "./dom.js";

const AT_ONCE = 24;

export class Gallery {
  constructor(classes, desk) {
    this.classes = classes;
    this.desk = desk;
    this.on = false;
    this.wrong = new Set();
    this.looked = new Set();
    byId("accept-all").addEventListener("click", () => desk.guarded(() => this.#accept()));
  }

  async load() {
    const kind = Number(byId("class").value);
    const values = new URLSearchParams({ reviewer: this.desk.name(), order: "class", class: kind,
      limit: Math.min(200, AT_ONCE + this.looked.size) });
    const { cells, progress } = await getJson(`/api/review/queue?${values}`);
    this.kind = kind;
    this.cells = cells.filter((cell) => !this.looked.has(this.#key(cell))).slice(0, AT_ONCE);
    this.wrong.clear();
    this.desk.showProgress(progress);
    byId("empty").hidden = this.cells.length > 0;
    byId("gallery").hidden = !this.cells.length;
    byId("tiles").replaceChildren(...this.cells.map((cell) => this.#tile(cell)));
    this.#count();
  }

  #key(cell) { return `${this.kind}/${cell.image_id}/${cell.cell_id}`; }

  #tile(cell) {
    const names = cell.called.map((index) => this.classes[index].name).join(", ");
    const image = make("img", { src: `/api/review/thumbnail?${this.desk.query(cell)}`, alt: "",
      width: "168", height: "168", loading: "lazy" });
    const tile = make("button", { type: "button", class: "tile", "aria-pressed": "false",
      "aria-label": `Cell ${cell.cell_id} of ${cell.image_id}: ${names}. Press if it is wrong.` },
    image, make("span", { text: `${cell.scores[this.kind].toFixed(2)} ${names}` }));
    tile.addEventListener("click", () => {
      if (!this.wrong.delete(cell)) this.wrong.add(cell);
      tile.setAttribute("aria-pressed", String(this.wrong.has(cell)));
      this.#count();
    });
    return tile;
  }

  #count() {
    const right = this.cells.length - this.wrong.size;
    byId("accept-all").textContent = right
      ? `Accept ${right} cell${right > 1 ? "s" : ""} and go on` : "Go on";
  }

  async #accept() {
    const right = this.cells.filter((cell) => !this.wrong.has(cell));
    if (right.length) {
      await this.desk.decide(right.map((cell) => ({
        image_id: cell.image_id, cell_id: cell.cell_id, labels: cell.called })));
    }
    for (const cell of this.wrong) this.looked.add(this.#key(cell));
    await this.load();
    byId("tiles").querySelector("button")?.focus();
  }
}
