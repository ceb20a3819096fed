// The fields that take the channels: dropped, chosen, told apart by their names.
import { byId, make, sizeText, tell } from "./dom.js";
import { MIX } from "./picture.js";

const MEANING = {
  red: "microtubules", green: "the protein", blue: "nuclei", yellow: "endoplasmic reticulum",
};
const WORDS = {
  red: ["red", "microtubule", "microtubules", "tubulin", "mt"],
  green: ["green", "protein", "antibody", "ab"],
  blue: ["blue", "nuclei", "nucleus", "dapi", "dna", "hoechst"],
  yellow: ["yellow", "er", "reticulum", "calreticulin"],
};
const PICTURE = /\.(png|tiff?|jpe?g)$/i;

// The channel that a file's name tells, or "".
export function channelOf(name) {
  const words = name.toLowerCase().replace(/\.[a-z]+$/, "").split(/[^a-z]+/).reverse();
  for (const word of words) {
    for (const [channel, known] of Object.entries(WORDS)) if (known.includes(word)) return channel;
  }
  return "";
}

export class Zones {
  constructor(channels, optional, onChange) {
    this.channels = channels;
    this.optional = optional;
    this.onChange = onChange;
    this.files = {};
    this.whole = null;
    this.parts = {};
    byId("zones").replaceChildren(...channels.map((channel) => this.#zone(channel)));
    byId("zones").dataset.count = channels.length;
    this.#listen();
  }

  get missing() {
    return this.channels.filter((name) => !this.files[name] && !this.optional.includes(name));
  }

  get ready() { return Boolean(this.whole) || this.missing.length === 0; }

  get empty() { return !this.whole && !Object.keys(this.files).length; }

  // what the files are called, without the channel
  get title() {
    const file = this.whole || Object.values(this.files)[0];
    const name = (file?.name ?? "image").replace(/\.[^.]+$/, "");
    return name.replace(/[_\- .]+(red|green|blue|yellow)$/i, "") || "image";
  }

  form() {
    const form = new FormData();
    if (this.whole) form.append("image", this.whole, "image");
    else for (const [channel, file] of Object.entries(this.files)) form.append(channel, file, channel);
    return form;
  }

  clear() {
    this.files = {};
    this.whole = null;
    this.#show();
  }

  // Sorts files into channels; says which it could not place.
  add(files, channel = "") {
    const list = [...files];
    const odd = list.filter((file) => !PICTURE.test(file.name));
    const pictures = list.filter((file) => PICTURE.test(file.name));
    const unknown = [];
    if (channel && pictures.length === 1) {
      this.files[channel] = pictures[0];
      this.whole = null;
    } else {
      for (const file of pictures) {
        const told = channelOf(file.name);
        if (this.channels.includes(told)) {
          this.files[told] = file;
          this.whole = null;
        } else unknown.push(file);
      }
      if (unknown.length === 1 && pictures.length === 1) {
        this.whole = unknown.pop();
        this.files = {};
      }
    }
    this.#show();
    const names = (some) => some.map((file) => `“${file.name}”`).join(", ");
    if (odd.length) return `${names(odd)}: only PNG, TIFF and JPEG pictures can be read.`;
    if (unknown.length) {
      return `The names of ${names(unknown)} do not say which channel they are. `
        + "Drop each of them on its own field.";
    }
    return "";
  }

  #zone(channel) {
    const input = make("input", { type: "file", accept: ".png,.tif,.tiff,.jpg,.jpeg",
      class: "cover", "aria-label": `${channel} image, ${MEANING[channel]}` });
    input.dataset.channel = channel;
    const picture = make("canvas", { class: "thumb", width: "112", height: "84", "aria-hidden": "true" });
    const name = make("span", { class: "file" });
    const zone = make("div", { class: `zone ${channel}` }, picture,
      make("strong", { text: channel[0].toUpperCase() + channel.slice(1) }),
      make("span", { class: "hint", text: MEANING[channel]
        + (this.optional.includes(channel) ? ", optional" : "") }), name, input);
    this.parts[channel] = { zone, picture, name, input };
    return zone;
  }

  #listen() {
    for (const [channel, { zone, input }] of Object.entries(this.parts)) {
      input.addEventListener("change", () => {
        if (input.files.length) this.onChange(this.add(input.files, channel));
        input.value = "";
      });
      zone.addEventListener("dragover", (event) => {
        event.preventDefault();
        zone.classList.add("over");
      });
      zone.addEventListener("dragleave", () => zone.classList.remove("over"));
      zone.addEventListener("drop", (event) => {
        event.preventDefault();
        event.stopPropagation();
        zone.classList.remove("over");
        this.onChange(this.add(event.dataTransfer.files, channel));
      });
    }
  }

  #show() {
    for (const [channel, { zone, picture, name }] of Object.entries(this.parts)) {
      const file = this.files[channel];
      zone.classList.toggle("filled", Boolean(file));
      name.textContent = file ? `${file.name}, ${sizeText(file.size)}` : "";
      name.title = file?.name ?? "";
      thumbnail(picture, file, channel);
    }
    tell(byId("whole-file"), this.whole
      ? `All channels in one file: ${this.whole.name}, ${sizeText(this.whole.size)}` : "");
    byId("clear").hidden = this.empty;
  }
}

// Draws a small tinted picture; browsers cannot decode TIFF, which gets its name instead.
async function thumbnail(canvas, file, channel) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!file) return;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    context.fillStyle = getComputedStyle(canvas).color;
    context.font = "600 18px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(/tiff?$/i.test(file.name) ? "TIFF" : "?", canvas.width / 2, canvas.height / 2 + 6);
    return;
  }
  const scale = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const width = bitmap.width * scale, height = bitmap.height * scale;
  context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  const data = context.getImageData(0, 0, canvas.width, canvas.height);
  const most = data.data.reduce((max, value, at) => (at % 4 < 3 && value > max ? value : max), 1);
  const mix = MIX[channel].map((share) => share / Math.max(...MIX[channel]));
  for (let at = 0; at < data.data.length; at += 4) {
    const value = Math.max(data.data[at], data.data[at + 1], data.data[at + 2]) * (255 / most);
    for (let band = 0; band < 3; band++) data.data[at + band] = value * mix[band];
  }
  context.putImageData(data, 0, 0);
}
