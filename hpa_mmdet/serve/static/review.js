// The review page: one cell at a time, or a gallery of a class.
import { call, getJson, postJson } from "./api.js";
import { byId, isTyping, make, percent, tell } from "./dom.js";
import { Gallery } from "./gallery.js";
import { drawChannels } from "./panels.js";
import { Picture } from "./picture.js";
import { Viewer } from "./viewer.js";

const KEYS = "0123456789abcdefghi"; // of the 19 localizations; X, N and others stay free
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}_ .'-]{0,39}$/u;
const STORED_NAME = "hpa-mmdet-reviewer";
const FEW = 4; // cells in hand when more are fetched
const desk = { queue: [], later: new Set(), chosen: new Set(), cell: null, pictures: new Map() };

const keyOf = (cell) => `${cell.image_id}/${cell.cell_id}`;
const query = (cell) => `image_id=${encodeURIComponent(cell.image_id)}&cell_id=${cell.cell_id}`;

function queueAddress(limit) {
  const order = byId("order").value, kind = byId("class").value;
  const values = new URLSearchParams({ reviewer: desk.name, limit });
  if (order === "second_look") values.set("second_look", "true");
  else values.set("order", order);
  if (kind !== "") values.set("class", kind);
  return `/api/review/queue?${values}`;
}

async function refill() {
  const { cells, left, progress } = await getJson(queueAddress(FEW * 4 + desk.later.size));
  const known = new Set([...desk.queue.map(keyOf), ...desk.later]);
  if (desk.cell) known.add(keyOf(desk.cell));
  desk.queue.push(...cells.filter((cell) => !known.has(keyOf(cell))));
  desk.left = left;
  showProgress(progress);
}

function showProgress(progress) {
  const { total, done } = progress;
  byId("done-bar").value = total ? done / total : 0;
  const parts = [`${done} of ${total} cells decided`];
  if (progress.compared_with_model) {
    parts.push(`${percent(progress.agree_with_model / progress.compared_with_model)} as the model said`);
  }
  if (progress.seen_by_several) {
    parts.push(`reviewers agree on ${progress.reviewers_agree} of ${progress.seen_by_several}`);
  }
  if (progress.bad_masks) parts.push(`${progress.bad_masks} bad masks`);
  const names = Object.entries(progress.by_reviewer).map(([name, count]) => `${name} ${count}`);
  if (names.length > 1) parts.push(names.join(", "));
  byId("done-text").textContent = parts.join(" · ");
}

async function next() {
  desk.cell = null;
  if (desk.queue.length < FEW) await refill();
  await show(desk.queue.shift() ?? null);
}

async function show(cell) {
  desk.cell = cell;
  byId("one").hidden = !cell;
  byId("empty").hidden = Boolean(cell);
  if (!cell) return;
  desk.chosen = new Set(cell.decided?.length ? cell.decided : cell.called);
  drawChoices();
  const names = cell.image_labels.map((index) => desk.classes[index].name).join(", ");
  byId("image-labels").textContent = {
    table: `The image is labelled: ${names}`, model: names && `The model says of the image: ${names}`,
  }[cell.image_labels_from] ?? "";
  byId("caption").textContent = `${cell.image_id}, cell ${cell.cell_id}`;
  const { picture, labels } = await pictureOf(cell);
  if (desk.cell !== cell) return;
  applyChannels(picture);
  desk.viewer.setPicture(picture);
  desk.viewer.setCells(labels, colours(labels));
  desk.viewer.mark({ chosen: 1 });
  drawPanel(picture);
  for (const ahead of desk.queue.slice(0, 2)) pictureOf(ahead).catch(() => {});
}

function drawPanel(picture) {
  drawChannels(byId("channels"), picture, () => {
    desk.shown = Object.fromEntries(picture.channels.map((name, at) => [name, picture.shown[at]]));
    desk.viewer.redraw();
  });
}

// what was switched on and off stays so from cell to cell
function applyChannels(picture) {
  const alone = byId("protein").checked && picture.channels.includes("green");
  picture.shown = picture.channels.map((name) => (alone ? name === "green"
    : desk.shown?.[name] ?? true));
}

function showProtein() {
  const { picture } = desk.viewer;
  if (!picture) return;
  applyChannels(picture);
  drawPanel(picture);
  desk.viewer.redraw();
}

// the cell in white, its neighbours in grey
function colours(labels) {
  let most = 1;
  for (const label of labels) if (label > most) most = label;
  const made = new Uint8Array(4 * (most + 1)).fill(110);
  for (let label = 1; label <= most; label++) made[4 * label + 3] = 255;
  made.fill(255, 4, 8);
  return made;
}

function pictureOf(cell) {
  const key = keyOf(cell);
  if (!desk.pictures.has(key)) {
    if (desk.pictures.size > 12) desk.pictures.delete(desk.pictures.keys().next().value);
    desk.pictures.set(key, fetchPicture(cell));
    desk.pictures.get(key).catch(() => desk.pictures.delete(key));
  }
  return desk.pictures.get(key);
}

async function fetchPicture(cell) {
  const reply = await call(`/api/review/pixels?${query(cell)}`);
  const bytes = await reply.arrayBuffer();
  const [left, top, right, bottom] = cell.box;
  const width = right - left, height = bottom - top;
  const depth = Number(reply.headers.get("x-depth-bits"));
  const end = bytes.byteLength - 2 * width * height;
  return {
    picture: new Picture(bytes.slice(0, end),
      { width, height, depth_bits: depth, channels: cell.channels }),
    labels: new Uint16Array(bytes.slice(end)),
  };
}

function drawChoices() {
  const { cell, classes } = desk;
  byId("choices").replaceChildren(...classes.map((kind, index) => {
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = kind.colour;
    const share = make("span", { class: "share" });
    share.style.width = `${100 * cell.scores[index]}%`;
    share.style.background = kind.colour;
    const button = make("button", { type: "button",
      "aria-pressed": String(desk.chosen.has(index)), "aria-keyshortcuts": KEYS[index] }, share,
    make("kbd", { text: KEYS[index].toUpperCase() }), swatch,
    make("span", { class: "name", text: kind.name }),
    make("span", { class: "number", text: cell.scores[index].toFixed(2) }));
    button.classList.toggle("of-image", cell.image_labels.includes(index));
    button.addEventListener("click", () => toggle(index));
    return button;
  }));
  byId("accept").disabled = !desk.chosen.size;
}

function toggle(index) {
  if (!desk.chosen.delete(index)) desk.chosen.add(index);
  [...byId("choices").children].forEach((button, at) =>
    button.setAttribute("aria-pressed", String(desk.chosen.has(at))));
  byId("accept").disabled = !desk.chosen.size;
}

// One piece of work at a time. An answer given before the next cell is shown is dropped, since
// nobody has seen that cell; a change of what is shown (waits) comes after the work before it.
let working = Promise.resolve();
function guarded(work, waits = false) {
  if (desk.busy && !waits) return;
  desk.busy = (desk.busy || 0) + 1;
  byId("desk").setAttribute("aria-busy", "true");
  working = working.then(async () => {
    tell(byId("problem"), "");
    try {
      await work();
    } catch (error) {
      tell(byId("problem"), error.message);
      if (!error.code) console.error(error);
    } finally {
      desk.busy -= 1;
      byId("desk").setAttribute("aria-busy", String(desk.busy > 0));
    }
  });
}

async function decide(decisions) {
  const reply = await postJson("/api/review/decisions", { reviewer: desk.name, decisions });
  showProgress(await reply.json());
}

const answer = (badMask) => guarded(async () => {
  const { cell } = desk;
  if (!cell || (!badMask && !desk.chosen.size)) return;
  const labels = badMask ? [] : [...desk.chosen].sort((a, b) => a - b);
  await decide([{ image_id: cell.image_id, cell_id: cell.cell_id, labels, bad_mask: badMask }]);
  byId("said").textContent = `Saved: ${badMask ? "bad mask"
    : labels.map((index) => desk.classes[index].name).join(", ")}.`;
  await next();
});

const skip = () => guarded(async () => {
  if (desk.cell) desk.later.add(keyOf(desk.cell));
  await next();
});

const undo = () => guarded(async () => {
  const reply = await (await postJson("/api/review/undo", { reviewer: desk.name })).json();
  showProgress(reply.progress);
  byId("said").textContent = reply.cell ? "Taken back: look again." : "There is nothing to undo.";
  if (!reply.cell) return;
  if (desk.cell) desk.queue.unshift(desk.cell);
  await show(reply.cell);
});

function restart() {
  guarded(async () => {
    desk.queue = [];
    desk.later.clear();
    if (desk.gallery.on) await desk.gallery.load();
    else await next();
  }, true);
}

function setMode(gallery) {
  desk.gallery.on = gallery;
  byId("mode-one").setAttribute("aria-pressed", String(!gallery));
  byId("mode-gallery").setAttribute("aria-pressed", String(gallery));
  byId("gallery").hidden = !gallery;
  byId("one").hidden = gallery;
  byId("empty").hidden = true;
  byId("order").disabled = gallery;
  if (gallery && byId("class").value === "") byId("class").value = "0";
  restart();
}

function onKey(event) {
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || byId("desk").hidden) return;
  if (desk.gallery.on) return;
  const index = event.key.length === 1 ? KEYS.indexOf(event.key.toLowerCase()) : -1;
  const onButton = event.target.closest("button, summary, a");
  const actions = {
    Enter: () => { if (!onButton) answer(false); }, Backspace: undo,
    p: () => byId("protein").click(), P: () => byId("protein").click(),
    x: () => answer(true), X: () => answer(true),
    ArrowRight: () => { if (event.target !== desk.viewer.canvas) skip(); },
  };
  const action = actions[event.key] ?? (index >= 0 && desk.cell ? () => toggle(index) : null);
  if (!action || (event.key === "Enter" && onButton)) return;
  event.preventDefault();
  action();
}

function listen() {
  byId("accept").addEventListener("click", () => answer(false));
  byId("bad").addEventListener("click", () => answer(true));
  byId("skip").addEventListener("click", skip);
  byId("undo").addEventListener("click", undo);
  byId("protein").addEventListener("change", showProtein);
  byId("order").addEventListener("change", restart);
  byId("class").addEventListener("change", restart);
  byId("mode-one").addEventListener("click", () => setMode(false));
  byId("mode-gallery").addEventListener("click", () => setMode(true));
  byId("who-change").addEventListener("click", () => askName());
  byId("zoom-in").addEventListener("click", () => desk.viewer.zoom(1.4));
  byId("zoom-out").addEventListener("click", () => desk.viewer.zoom(1 / 1.4));
  byId("zoom-fit").addEventListener("click", () => desk.viewer.fit());
  byId("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("name").value.trim().replace(/\s+/g, " ");
    if (!NAME.test(name)) {
      tell(byId("who-problem"), "Give a name of letters, digits and spaces, up to 40.");
      return;
    }
    try { localStorage.setItem(STORED_NAME, name); } catch { /* private window */ }
    start(name);
  });
  addEventListener("keydown", onKey);
}

function askName() {
  byId("desk").hidden = true;
  byId("who").hidden = false;
  byId("name").focus();
}

function start(name) {
  desk.name = name;
  byId("who").hidden = true;
  byId("desk").hidden = false;
  byId("who-name").textContent = name;
  restart();
}

async function begin() {
  let setup;
  try {
    setup = await getJson("/api/review");
  } catch (error) {
    byId("desk").hidden = false;
    byId("one").hidden = true;
    tell(byId("problem"), error.message);
    return;
  }
  desk.classes = setup.classes;
  byId("class").append(...setup.classes.map((kind) =>
    make("option", { value: String(kind.index), text: kind.name })));
  const [chosen] = byId("order").options;
  chosen.hidden = !setup.has_queue_file;
  byId("order").value = setup.has_queue_file ? "file" : "least_sure";
  desk.viewer = new Viewer(byId("canvas"), { hover: () => {}, choose: () => {},
    keys: { 0: () => toggle(0) } });
  desk.gallery = new Gallery(desk.classes, { query, decide, guarded, showProgress,
    name: () => desk.name });
  listen();
  showProgress(setup.progress);
  let name = null;
  try { name = localStorage.getItem(STORED_NAME); } catch { /* private window */ }
  if (name && NAME.test(name)) start(name);
  else askName();
  document.body.dataset.ready = "yes";
}

begin();
