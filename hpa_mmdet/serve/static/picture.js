// The pixels of an image: planes, their histograms, and contrast that shows something.

export const MIX = {
  red: [1, 0, 0], green: [0, 1, 0], blue: [0, 0, 1], yellow: [0.5, 0.5, 0],
};
const LEAST_SPAN = 0.12; // a channel with less of the brightest value is mostly noise
const BINS = 64;

export class Picture {
  // bytes: the planes one after another, each of `height` rows, 8 or 16 bit little-endian
  constructor(bytes, { width, height, depth_bits: depth, channels }) {
    this.width = width;
    this.height = height;
    this.depth = depth;
    this.channels = channels;
    const count = width * height;
    const Kind = depth === 16 ? Uint16Array : Uint8Array;
    this.planes = channels.map((_, at) => new Kind(bytes, at * count * (depth / 8), count));
    this.bytes = bytes;
    this.stats = this.planes.map(describe);
    const brightest = Math.max(1, ...this.stats.map((stats) => stats.max));
    this.windows = this.stats.map((stats) => autoWindow(stats, brightest));
    this.brightest = brightest;
    this.shown = channels.map(() => true);
  }

  auto(at) {
    this.windows[at] = autoWindow(this.stats[at], this.brightest);
  }
}

function autoWindow({ low, high }, brightest) {
  return [low, Math.max(high, low + LEAST_SPAN * brightest, low + 1)];
}

function describe(plane) {
  let max = 0;
  for (let at = 0; at < plane.length; at++) if (plane[at] > max) max = plane[at];
  const counts = new Uint32Array(max + 1);
  const step = Math.max(1, Math.floor(plane.length / 400000));
  let seen = 0;
  for (let at = 0; at < plane.length; at += step, seen++) counts[plane[at]]++;
  const quantile = (share) => {
    let sum = 0;
    for (let value = 0; value <= max; value++) {
      sum += counts[value];
      if (sum >= share * seen) return value;
    }
    return max;
  };
  const bins = new Float64Array(BINS);
  for (let value = 0; value <= max; value++) {
    bins[Math.min(BINS - 1, Math.floor((value * BINS) / (max + 1)))] += counts[value];
  }
  return { max, low: quantile(0.01), high: quantile(0.997), bins };
}
