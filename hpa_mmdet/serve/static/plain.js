// Draws channels and outlines without WebGL: one pass over the pixels of the canvas.
import { MIX } from "./picture.js";

export class PlainRenderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    if (!this.context) throw new Error("no canvas");
  }

  fits() { return true; }

  setPicture(picture) {
    this.picture = picture;
    this.labels = new Uint16Array(picture.width * picture.height);
    this.colours = new Uint8Array(4);
  }

  setLabels(labels) { this.labels = labels; }

  setColours(colours) { this.colours = colours; }

  draw({ x, y, scale, outlines, hovered, chosen, ratio }) {
    const { width, height } = this.canvas;
    const image = this.context.createImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const { planes, width: columns, height: rows } = this.picture;
    const channels = this.picture.channels
      .map((name, at) => ({ plane: planes[at], mix: MIX[name], ...table(this.picture, at) }))
      .filter((_, at) => this.picture.shown[at]);
    const { labels, colours } = this;
    const xs = Int32Array.from({ length: width }, (_, at) => Math.floor(x + (at + 0.5) / scale));
    const reach = Math.max(1, Math.round((1.5 * ratio) / scale));
    const labelAt = (column, row) => (column < 0 || row < 0 || column >= columns || row >= rows
      ? 0 : labels[row * columns + column]);
    for (let line = 0, place = 0; line < height; line++) {
      const row = Math.floor(y + (line + 0.5) / scale);
      if (row < 0 || row >= rows) { place += width; continue; }
      for (let at = 0; at < width; at++, place++) {
        const column = xs[at];
        if (column < 0 || column >= columns) continue;
        const pixel = row * columns + column;
        let red = 0, green = 0, blue = 0;
        for (const { plane, mix, low, factor } of channels) {
          const value = Math.min(255, Math.max(0, (plane[pixel] - low) * factor));
          red += mix[0] * value; green += mix[1] * value; blue += mix[2] * value;
        }
        const label = labels[pixel];
        const marked = label === hovered || label === chosen;
        if (label && colours[4 * label + 3] && (outlines || marked)) {
          const edge = labelAt(column - reach, row) !== label
            || labelAt(column + reach, row) !== label
            || labelAt(column, row - reach) !== label || labelAt(column, row + reach) !== label;
          const share = edge ? 1 : label === hovered ? 0.15 : 0;
          const white = edge && marked ? (label === chosen ? 0.7 : 0.4) : 0;
          const style = (band) => colours[4 * label + band] * (1 - white) + 255 * white;
          red += (style(0) - Math.min(red, 255)) * share;
          green += (style(1) - Math.min(green, 255)) * share;
          blue += (style(2) - Math.min(blue, 255)) * share;
        }
        out[place] = 0xff000000 | (Math.min(blue, 255) << 16)
          | (Math.min(green, 255) << 8) | Math.min(red, 255);
      }
    }
    this.context.putImageData(image, 0, 0);
  }
}

function table(picture, at) {
  const [low, high] = picture.windows[at];
  return { low, factor: 255 / Math.max(high - low, 1e-3) };
}
