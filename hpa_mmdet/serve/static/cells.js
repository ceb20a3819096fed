// What is known of the cells of an image, and which of them are shown.

export class Cells {
  constructor(prediction, classes) {
    this.classes = classes;
    this.list = prediction.cells.map((cell, at) => {
      const top = cell.called[0] ?? cell.scores.indexOf(Math.max(...cell.scores));
      return { ...cell, label: at + 1, top, sure: cell.called.length > 0,
        confidence: cell.cell_score * cell.scores[top] };
    });
    this.least = 0;
    this.wanted = new Set();
  }

  get(label) { return this.list[label - 1]; }

  // the classes that a cell counts for: those called, else its likeliest
  labelsOf(cell) { return cell.called.length ? cell.called : [cell.top]; }

  isShown(cell) {
    return cell.confidence >= this.least
      && (!this.wanted.size || this.labelsOf(cell).some((index) => this.wanted.has(index)));
  }

  get shown() { return this.list.filter((cell) => this.isShown(cell)); }

  // how many cells, sure enough, count for each class
  counts() {
    const counts = new Array(this.classes.length).fill(0);
    for (const cell of this.list) {
      if (cell.confidence >= this.least) for (const index of this.labelsOf(cell)) counts[index]++;
    }
    return counts;
  }

  colours() {
    const colours = new Uint8Array(4 * (this.list.length + 1));
    for (const cell of this.list) {
      const hex = parseInt(this.classes[cell.top].colour.slice(1), 16);
      colours.set([hex >> 16, (hex >> 8) & 255, hex & 255, this.isShown(cell) ? 255 : 0],
        4 * cell.label);
    }
    return colours;
  }

  nameOf(cell) {
    return this.labelsOf(cell).map((index) => this.classes[index].name).join(", ")
      + (cell.sure ? "" : " ?");
  }
}
