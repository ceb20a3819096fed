// The parts beside the picture: confidences as bars, legend, channels with contrast, table.
import { byId, make } from "./dom.js";
import { MIX } from "./picture.js";

const MOST_ROWS = 2000;

// Nineteen bars with the class's colour; a tick shows the threshold of a call.
export function drawBars(element, classes, cell) {
  if (element.childElementCount !== classes.length) {
    element.replaceChildren(...classes.map((kind) => {
      const fill = make("span", { class: "fill" });
      fill.style.background = kind.colour;
      const tick = make("span", { class: "tick" });
      tick.style.left = `${100 * kind.threshold}%`;
      return make("div", { class: "bar-row" }, make("span", { class: "name", text: kind.name }),
        make("span", { class: "track" }, fill, tick), make("span", { class: "number" }));
    }));
  }
  [...element.children].forEach((row, index) => {
    const score = cell ? cell.scores[index] : 0;
    row.querySelector(".fill").style.width = `${100 * score}%`;
    row.querySelector(".number").textContent = cell ? score.toFixed(2) : "";
    row.classList.toggle("called", Boolean(cell?.called.includes(index)));
  });
}

// Buttons, one for each class that cells show; pressed ones filter.
export function drawLegend(element, cells, onChange) {
  const counts = cells.counts(), most = Math.max(1, ...counts);
  const order = cells.classes.map((kind) => kind.index)
    .filter((index) => counts[index] || cells.wanted.has(index))
    .sort((a, b) => counts[b] - counts[a] || a - b);
  const focused = element.contains(document.activeElement)
    && document.activeElement.dataset.index;
  element.replaceChildren(...order.map((index) => {
    const kind = cells.classes[index];
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = kind.colour;
    const share = make("span", { class: "share" });
    share.style.width = `${(100 * counts[index]) / most}%`;
    share.style.background = kind.colour;
    const button = make("button", { type: "button",
      "aria-pressed": String(cells.wanted.has(index)) }, share, swatch,
    make("span", { class: "name", text: kind.name }),
    make("span", { class: "number", text: String(counts[index]) }));
    button.dataset.index = index;
    button.addEventListener("click", () => {
      if (!cells.wanted.delete(index)) cells.wanted.add(index);
      onChange();
    });
    return button;
  }));
  if (focused) element.querySelector(`[data-index="${focused}"]`)?.focus();
  byId("legend-all").hidden = !cells.wanted.size;
}

// For each channel a switch, its histogram, and two sliders for black and white.
export function drawChannels(element, picture, onChange) {
  element.replaceChildren(...picture.channels.map((name, at) => {
    const { max } = picture.stats[at];
    const toggle = make("input", { type: "checkbox", checked: picture.shown[at] });
    toggle.addEventListener("change", () => {
      picture.shown[at] = toggle.checked;
      onChange();
    });
    const plot = make("canvas", { width: "240", height: "36", class: "histogram", "aria-hidden": "true" });
    const sliders = ["black", "white"].map((word, end) => {
      const slider = make("input", { type: "range", min: "0", max: String(Math.max(max, 1)),
        "aria-label": `${name}: intensity that is shown ${end ? "brightest" : "black"}` });
      slider.addEventListener("input", () => {
        const value = Number(slider.value), [low, high] = picture.windows[at];
        picture.windows[at] = end ? [Math.min(low, value - 1), value]
          : [value, Math.max(high, value + 1)];
        show();
        onChange();
      });
      return slider;
    });
    const show = () => {
      picture.windows[at].forEach((value, end) => { sliders[end].value = value; });
      drawHistogram(plot, picture, at);
    };
    const auto = make("button", { type: "button", class: "quiet", text: "Auto",
      "aria-label": `Automatic contrast of ${name}` });
    auto.addEventListener("click", () => {
      picture.auto(at);
      show();
      onChange();
    });
    const row = make("div", { class: `channel ${name}` },
      make("div", { class: "channel-head" },
        make("label", { class: "check" }, toggle,
          ` ${name[0].toUpperCase()}${name.slice(1)}`, make("kbd", { text: String(at + 1) })), auto),
      plot, ...sliders);
    row.refresh = () => { toggle.checked = picture.shown[at]; };
    show();
    return row;
  }));
}

function drawHistogram(canvas, picture, at) {
  const context = canvas.getContext("2d");
  const { bins, max } = picture.stats[at];
  const tallest = Math.log1p(Math.max(...bins));
  const [red, green, blue] = MIX[picture.channels[at]].map((share) =>
    Math.round(255 * Math.min(1, share / Math.max(...MIX[picture.channels[at]]))));
  context.clearRect(0, 0, canvas.width, canvas.height);
  bins.forEach((count, bin) => {
    const x = (bin * canvas.width) / bins.length;
    const inside = ((bin + 0.5) / bins.length) * max;
    const [low, high] = picture.windows[at];
    context.globalAlpha = inside >= low && inside <= high ? 1 : 0.4;
    context.fillStyle = `rgb(${red * 0.85}, ${green * 0.75}, ${blue * 0.95})`;
    const height = (canvas.height * Math.log1p(count)) / (tallest || 1);
    context.fillRect(x, canvas.height - height, canvas.width / bins.length - 0.5, height);
  });
  context.globalAlpha = 1;
}

export class Table {
  constructor(table, on) {
    this.table = table;
    this.on = on;
    this.sort = { key: "confidence", down: true };
    for (const button of table.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        const key = button.dataset.sort;
        this.sort = { key, down: this.sort.key === key ? !this.sort.down : key !== "cell_id" };
        this.draw(this.cells);
      });
    }
  }

  draw(cells) {
    this.cells = cells;
    const { key, down } = this.sort;
    const value = (cell) => (key === "top" ? cells.nameOf(cell) : cell[key]);
    const rows = cells.shown.sort((a, b) => {
      const x = value(a), y = value(b);
      const order = typeof x === "string" ? x.localeCompare(y) : x - y;
      return (down ? -order : order) || a.cell_id - b.cell_id;
    });
    for (const button of this.table.querySelectorAll("[data-sort]")) {
      button.closest("th").setAttribute("aria-sort",
        button.dataset.sort === key ? (down ? "descending" : "ascending") : "none");
    }
    const body = this.table.tBodies[0];
    body.replaceChildren(...rows.slice(0, MOST_ROWS).map((cell) => this.#row(cells, cell)));
    if (rows.length > MOST_ROWS) {
      body.append(make("tr", {}, make("td", { colspan: "5",
        text: `${rows.length - MOST_ROWS} more cells are in the CSV table.` })));
    }
    this.order = rows.map((cell) => cell.label);
  }

  mark(label, scroll) {
    for (const row of this.table.querySelectorAll("tr.chosen")) {
      row.classList.remove("chosen");
      row.querySelector("button").removeAttribute("aria-current");
    }
    const row = this.table.querySelector(`tr[data-label="${label}"]`);
    row?.classList.add("chosen");
    row?.querySelector("button").setAttribute("aria-current", "true");
    if (row && scroll) {
      const box = row.closest(".scroll");
      box.scrollTop = row.offsetTop - box.clientHeight / 2;
    }
  }

  #row(cells, cell) {
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = cells.classes[cell.top].colour;
    const choose = make("button", { type: "button", class: "quiet", text: String(cell.cell_id),
      "aria-label": `Show cell ${cell.cell_id}` });
    const row = make("tr", {},
      make("td", {}, choose), make("td", {}, swatch, ` ${cells.nameOf(cell)}`),
      make("td", { text: cell.confidence.toFixed(2) }),
      make("td", { text: cell.cell_score.toFixed(2) }),
      make("td", { text: cell.area.toLocaleString("en") }));
    row.dataset.label = cell.label;
    row.addEventListener("click", () => this.on.choose(cell.label));
    row.addEventListener("pointerenter", () => this.on.hover(cell.label));
    row.addEventListener("pointerleave", () => this.on.hover(0));
    return row;
  }
}
