// COCO's compressed run lengths to a label image that the viewer draws.

// Run lengths of one mask, column by column, background first.
export function decodeCounts(text) {
  const runs = [];
  let at = 0;
  while (at < text.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      value += (code & 31) * 2 ** shift;
      more = (code & 32) !== 0;
      shift += 5;
      if (!more && code & 16) value -= 2 ** shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

// (height * width) places of cells in the list, from 1; earlier cells lie on top.
export function labelImage(cells, width, height) {
  const labels = new Uint16Array(width * height);
  for (let number = Math.min(cells.length, 65535); number > 0; number--) {
    let flat = 0, inside = false;
    for (const run of decodeCounts(cells[number - 1].segmentation.counts)) {
      if (inside) {
        let column = Math.floor(flat / height), row = flat % height;
        for (let left = run; left > 0;) {
          const length = Math.min(left, height - row);
          for (let place = row * width + column, end = place + length * width;
            place < end; place += width) labels[place] = number;
          left -= length;
          column += 1;
          row = 0;
        }
      }
      flat += run;
      inside = !inside;
    }
  }
  return labels;
}

// For each pixel how many steps, diagonal ones too, it is from the nearest one that has a neighbour
// of another label or lies at the border; at most 255.
export function depthsOf(labels, width, height) {
  const depths = new Uint8Array(width * height);
  for (let row = 1; row < height - 1; row++) {
    for (let at = row * width + 1, end = at + width - 2; at < end; at++) {
      const label = labels[at];
      const alike = labels[at - 1] === label && labels[at + 1] === label
        && labels[at - width] === label && labels[at + width] === label
        && labels[at - width - 1] === label && labels[at - width + 1] === label
        && labels[at + width - 1] === label && labels[at + width + 1] === label;
      if (alike) {
        depths[at] = Math.min(254, depths[at - 1], depths[at - width - 1], depths[at - width],
          depths[at - width + 1]) + 1;
      }
    }
  }
  for (let row = height - 2; row > 0; row--) {
    for (let at = row * width + width - 2, end = row * width; at > end; at--) {
      const steps = Math.min(254, depths[at + 1], depths[at + width - 1], depths[at + width],
        depths[at + width + 1]) + 1;
      if (steps < depths[at]) depths[at] = steps;
    }
  }
  return depths;
}
