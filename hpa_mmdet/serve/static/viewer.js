// The picture: zoom, pan, pointing at cells. Tells what happens through callbacks.
import { GlRenderer } from "./gl.js";
import { PlainRenderer } from "./plain.js";

const STEP = 1.25;
const MOST_SCALE = 40;
const CLICK_PX = 6;

export class Viewer {
  // on.hover(label, point) and on.choose(label): 0 where there is no cell
  constructor(canvas, on) {
    this.canvas = canvas;
    this.on = on;
    this.state = { x: 0, y: 0, scale: 1, outlines: true, hovered: 0, chosen: 0, ratio: 1 };
    this.pointers = new Map();
    this.#listen();
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(canvas.parentElement);
  }

  setPicture(picture) {
    if (!this.renderer) this.#chooseRenderer(picture);
    this.picture = picture;
    this.labels = null;
    this.shownLabels = null;
    Object.assign(this.state, { hovered: 0, chosen: 0 });
    this.renderer.setPicture(picture);
    this.#resize();
    this.fit();
  }

  // labels: as masks.js makes them; colours: four bytes for each label
  setCells(labels, colours) {
    this.labels = labels;
    this.renderer.setLabels(labels);
    this.setColours(colours);
  }

  setColours(colours) {
    this.shownLabels = colours;
    this.renderer.setColours(colours);
    this.redraw();
  }

  fit() {
    const { width, height } = this.canvas;
    const scale = Math.min(width / this.picture.width, height / this.picture.height);
    this.leastScale = scale / 2;
    Object.assign(this.state, {
      scale,
      x: (this.picture.width - width / scale) / 2,
      y: (this.picture.height - height / scale) / 2,
    });
    this.redraw();
  }

  // brings a box [x, y, width, height] into the middle, and near enough to be seen
  show([x, y, width, height]) {
    const { canvas, state } = this;
    const near = Math.min(canvas.width / (width * 4), canvas.height / (height * 4));
    state.scale = Math.min(MOST_SCALE, Math.max(state.scale, near));
    state.x = x + width / 2 - canvas.width / 2 / state.scale;
    state.y = y + height / 2 - canvas.height / 2 / state.scale;
    this.redraw();
  }

  zoom(factor, point = [this.canvas.width / 2, this.canvas.height / 2]) {
    const { state } = this;
    const scale = Math.min(MOST_SCALE, Math.max(this.leastScale, state.scale * factor));
    state.x += point[0] / state.scale - point[0] / scale;
    state.y += point[1] / state.scale - point[1] / scale;
    state.scale = scale;
    this.redraw();
  }

  pan(right, down) {
    const { state, canvas, picture } = this;
    const keep = (at, step, shown, whole) =>
      Math.min(whole - shown / 4, Math.max(-0.75 * shown, at + step));
    state.x = keep(state.x, right / state.scale, canvas.width / state.scale, picture.width);
    state.y = keep(state.y, down / state.scale, canvas.height / state.scale, picture.height);
    this.redraw();
  }

  mark(what) {
    Object.assign(this.state, what);
    this.redraw();
  }

  redraw() {
    if (this.waiting || !this.picture) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.renderer.draw(this.state);
    });
  }

  toBlob() {
    this.renderer.draw(this.state); // at once: WebGL keeps no picture between frames
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  #chooseRenderer(picture) {
    const plain = new URLSearchParams(location.search).get("renderer") === "plain";
    try {
      if (plain) throw new Error("asked for");
      this.renderer = new GlRenderer(this.canvas);
      if (this.renderer.fits(picture)) return;
      throw new Error("too large for this graphics card");
    } catch {
      const fresh = this.canvas.cloneNode(); // a canvas has one kind of context for ever
      this.canvas.replaceWith(fresh);
      this.canvas = fresh;
      this.#listen();
      this.renderer = new PlainRenderer(fresh);
    }
  }

  #resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    if (!box.width) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
    if (this.canvas.width === width && this.canvas.height === height) return;
    const centre = this.picture && [
      this.state.x + this.canvas.width / 2 / this.state.scale,
      this.state.y + this.canvas.height / 2 / this.state.scale];
    Object.assign(this.canvas, { width, height });
    this.state.ratio = ratio;
    if (centre) {
      this.state.x = centre[0] - width / 2 / this.state.scale;
      this.state.y = centre[1] - height / 2 / this.state.scale;
    }
    this.redraw();
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  #labelAt([right, down]) {
    if (!this.labels) return 0;
    const column = Math.floor(this.state.x + right / this.state.scale);
    const row = Math.floor(this.state.y + down / this.state.scale);
    const { width, height } = this.picture;
    if (column < 0 || row < 0 || column >= width || row >= height) return 0;
    const label = this.labels[row * width + column];
    return this.shownLabels[4 * label + 3] ? label : 0;
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      if (!this.picture) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.#point(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.#up(event));
    }
    canvas.addEventListener("pointerleave", () => this.#hover(0, null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.#point(event));
    this.start = this.#point(event);
    this.moved = this.pointers.size > 1;
  }

  #move(event) {
    if (!this.picture) return;
    const point = this.#point(event), before = this.pointers.get(event.pointerId);
    if (!before) {
      this.#hover(this.#labelAt(point), event);
      return;
    }
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
      this.zoom(apart(point, other) / apart(before, other),
        [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2]);
      this.pan((before[0] - point[0]) / 2, (before[1] - point[1]) / 2);
    } else if (this.moved || Math.hypot(point[0] - this.start[0], point[1] - this.start[1])
        > CLICK_PX * this.state.ratio) {
      this.moved = true;
      this.pan(before[0] - point[0], before[1] - point[1]);
    }
    this.pointers.set(event.pointerId, point);
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId) || !this.picture) return;
    if (!this.moved && event.type === "pointerup") this.on.choose(this.#labelAt(this.#point(event)));
  }

  #hover(label, event) {
    if (label !== this.state.hovered) this.mark({ hovered: label });
    this.on.hover(label, event);
  }

  #key(event) {
    if (!this.picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const far = 60 * this.state.ratio;
    const actions = {
      ArrowLeft: () => this.pan(-far, 0), ArrowRight: () => this.pan(far, 0),
      ArrowUp: () => this.pan(0, -far), ArrowDown: () => this.pan(0, far),
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP),
      ...this.on.keys,
    };
    if (!this.on.keys?.["0"]) actions["0"] = () => this.fit();
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }
}
