// The first page: images in, cells on the picture.
import { ApiError, call, follow, getJson, postJson, save, upload } from "./api.js";
import { Cells } from "./cells.js";
import { byId, isTyping, make, percent, tell } from "./dom.js";
import { labelImage } from "./masks.js";
import { drawBars, drawChannels, drawLegend, Table } from "./panels.js";
import { Picture } from "./picture.js";
import { Viewer } from "./viewer.js";
import { Zones } from "./zones.js";

const EXAMPLE = ["red", "green", "blue", "yellow"];
const page = { model: null, zones: null, viewer: null, table: null, cells: null, busy: null };

function show(section) {
  for (const id of ["start", "progress", "result"]) byId(id).hidden = id !== section;
  if (section === "progress" && page.cells === null) byId("start").hidden = false;
  byId("start").inert = section === "progress";
}

function radio(name) { return document.querySelector(`input[name="${name}"]:checked`).value; }

function updateStart(problem = "") {
  const { zones } = page;
  tell(byId("problem"), problem);
  byId("go").disabled = !zones.ready;
  byId("go-hint").textContent = zones.ready || zones.empty ? ""
    : `Still missing: ${zones.missing.join(", ")}.`;
}

function showProgress(text, share = null, more = "") {
  byId("progress-text").textContent = text;
  byId("progress-more").textContent = more;
  if (share === null) byId("progress-bar").removeAttribute("value");
  else byId("progress-bar").value = share;
}

function onState(state) {
  const { position, elapsed_s: elapsed, expected_s: expected } = state;
  if (state.state === "decoding") showProgress("Reading the images…");
  if (state.state === "waiting") {
    showProgress("Waiting for the model…", null, position
      ? `${position} image${position > 1 ? "s" : ""} before yours` : "");
  }
  if (state.state === "predicting") {
    showProgress("Finding the cells…", expected && Math.min(0.97, elapsed / expected),
      expected ? `about ${Math.max(1, Math.round(expected))} s` : "");
  }
}

async function predict(instances) {
  const abort = new AbortController();
  page.busy?.abort();
  page.busy = abort;
  const { signal } = abort;
  let job = null;
  show("progress");
  byId("progress").scrollIntoView({ block: "nearest" });
  showProgress("Sending the images…", 0);
  try {
    job = await upload(`/api/jobs?instances=${instances}`, page.zones.form(),
      (share) => showProgress("Sending the images…", share, percent(share)), signal);
    let pixels = null; // the picture is fetched while the model works
    const fetchPixels = (state) => {
      if (state.width && !pixels) {
        pixels = call(`/api/jobs/${job.job_id}/pixels`, { signal })
          .then((reply) => reply.arrayBuffer())
          .then((bytes) => new Picture(bytes, state));
        pixels.catch(() => {});
      }
    };
    await follow(job.job_id, (state) => { onState(state); fetchPixels(state); }, signal);
    const { prediction } = await getJson(`/api/jobs/${job.job_id}`);
    showResult(await pixels, prediction);
  } catch (error) {
    if (abort !== page.busy) return;
    fail(error);
  } finally {
    abort.abort(); // after a failure the picture may still be on its way, and goes with the job
    if (job) call(`/api/jobs/${job.job_id}`, { method: "DELETE" }).catch(() => {});
  }
}

function fail(error) {
  const message = error.code === "cancelled" ? "" : error.message;
  if (!(error instanceof ApiError)) console.error(error);
  const after = page.cells ? "result" : "start";
  show(after);
  tell(byId(page.cells ? "result-problem" : "problem"), message);
  if (page.cells) setRadio(page.prediction.instances);
  byId(page.cells ? "result-problem" : "problem").scrollIntoView({ block: "nearest" });
}

function setRadio(value) {
  for (const name of ["instances", "instances-again"]) {
    document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
  }
}

function showResult(picture, prediction) {
  page.cells = new Cells(prediction, page.model.classes);
  page.prediction = prediction;
  page.picture = picture;
  byId("confidence").value = 0;
  show("result");
  setRadio(prediction.instances);
  tell(byId("result-problem"), "");
  page.viewer.setPicture(picture);
  page.viewer.setCells(labelImage(prediction.cells, picture.width, picture.height),
    page.cells.colours());
  const { length } = prediction.cells;
  byId("result-title").textContent = length
    ? `${length} cell${length > 1 ? "s" : ""} in ${page.zones.title}` : "No cells found";
  byId("result-sub").textContent = `${picture.width} × ${picture.height} pixels, outlined by the `
    + `${prediction.instances === "model" ? "model" : "segmenter"}, ${prediction.seconds.toFixed(1)} s`;
  const notes = [...prediction.notes];
  if (page.isExample) notes.unshift("This example is a synthetic image, drawn by a program.");
  if (!length) notes.push("Are the channels in the right fields? Nuclei belong into blue.");
  byId("notes").replaceChildren(...notes.map((text) => make("li", { text })));
  byId("notes").hidden = !notes.length;
  drawChannels(byId("channels"), picture, () => page.viewer.redraw());
  choose(0);
  filter();
  byId("canvas")?.focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

function filter() {
  const { cells } = page;
  cells.least = Number(byId("confidence").value);
  byId("confidence-value").textContent = cells.least.toFixed(2);
  page.viewer.setColours(cells.colours());
  drawLegend(byId("legend"), cells, filter);
  page.table.draw(cells);
  const shown = cells.shown.length;
  byId("shown").textContent = `${shown} of ${cells.list.length} cells shown`;
  byId("save-count").textContent = `the ${shown} cell${shown === 1 ? "" : "s"} shown`;
  for (const button of document.querySelectorAll("[data-export]")) button.disabled = !shown;
  const chosen = cells.get(page.viewer.state.chosen);
  if (chosen && !cells.isShown(chosen)) choose(0);
  else page.table.mark(page.viewer.state.chosen);
}

function describe(cell) {
  byId("cell-title").textContent = cell ? `Cell ${cell.cell_id}` : "Point at a cell";
  byId("cell-sub").textContent = cell
    ? `${page.cells.nameOf(cell)}. p(cell) ${cell.cell_score.toFixed(2)}, `
      + `${cell.area.toLocaleString("en")} px${cell.touches_border ? ", touches the border" : ""}`
    : "Its confidence for each of the 19 localizations appears here. Click to keep it.";
  drawBars(byId("bars"), page.model.classes, cell);
}

function hover(label, event) {
  const cell = page.cells?.get(label || page.viewer.state.chosen);
  if (page.cells) describe(cell);
  const tip = byId("tip");
  tip.hidden = !(label && event);
  if (tip.hidden) return;
  const over = page.cells.get(label);
  tip.textContent = `${page.cells.nameOf(over)} ${over.scores[over.top].toFixed(2)}`;
  const box = byId("viewer").getBoundingClientRect();
  const left = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4);
  tip.style.transform = `translate(${Math.max(4, left)}px, ${event.clientY - box.top + 14}px)`;
}

function choose(label, { scroll = false, move = false } = {}) {
  const cell = page.cells.get(label);
  page.viewer.mark({ chosen: label });
  if (cell && move) page.viewer.show(cell.bbox);
  page.table.mark(label, scroll);
  describe(cell);
}

function step(by) {
  const order = page.table.order ?? [];
  if (!order.length) return;
  const at = order.indexOf(page.viewer.state.chosen);
  const next = at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length;
  choose(order[next], { scroll: true, move: true });
}

async function download(kind, button) {
  button.disabled = true;
  tell(byId("result-problem"), "");
  try {
    const content = {
      image_id: page.zones.title.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[^A-Za-z0-9]+/, "")
        .slice(0, 100) || "image",
      width: page.prediction.width, height: page.prediction.height,
      cells: page.cells.shown.map(({ label, top, sure, confidence, ...cell }) => cell),
    };
    const reply = await postJson(`/api/export/${kind}`, content);
    const ending = { table: "_cells.csv", coco: "_cells.json", labels: "_labels.tif" }[kind];
    save(await reply.blob(), content.image_id + ending);
  } catch (error) {
    tell(byId("result-problem"), error.message);
  } finally {
    button.disabled = false;
  }
}

async function loadExample() {
  try {
    const files = await Promise.all(EXAMPLE.map(async (channel) => {
      const reply = await call(`/static/example/synthetic_${channel}.png`);
      return new File([await reply.blob()], `synthetic_example_${channel}.png`, { type: "image/png" });
    }));
    page.zones.clear();
    updateStart(page.zones.add(files.filter((file) =>
      page.model.channels.some((channel) => file.name.includes(channel)))));
    page.isExample = true;
    if (page.zones.ready) predict(radio("instances"));
  } catch (error) {
    updateStart(error.message);
  }
}

function listen() {
  const files = byId("files");
  byId("choose-all").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    changed(page.zones.add(files.files));
    files.value = "";
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length || !byId("progress").hidden) return;
    if (byId("start").hidden) restart();
    changed(page.zones.add(event.dataTransfer.files));
  });
  byId("clear").addEventListener("click", () => { page.zones.clear(); updateStart(); });
  byId("example").addEventListener("click", loadExample);
  byId("go").addEventListener("click", () => predict(radio("instances")));
  byId("cancel").addEventListener("click", () => page.busy?.abort());
  byId("again").addEventListener("click", restart);
  for (const input of document.querySelectorAll('input[name="instances-again"]')) {
    input.addEventListener("change", () => predict(input.value));
  }
  byId("confidence").addEventListener("input", filter);
  byId("legend-all").addEventListener("click", () => { page.cells.wanted.clear(); filter(); });
  byId("outlines").addEventListener("change", (event) =>
    page.viewer.mark({ outlines: event.target.checked }));
  byId("zoom-in").addEventListener("click", () => page.viewer.zoom(1.4));
  byId("zoom-out").addEventListener("click", () => page.viewer.zoom(1 / 1.4));
  byId("zoom-fit").addEventListener("click", () => page.viewer.fit());
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => download(button.dataset.export, button));
  }
  byId("save-png").addEventListener("click", async () =>
    save(await page.viewer.toBlob(), `${page.zones.title}.png`));
  addEventListener("keydown", onKey);
}

function onKey(event) {
  if (byId("result").hidden || isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const channel = "1234".indexOf(event.key);
  const row = byId("channels").children[channel];
  if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
  else if (event.key === "Escape") choose(0);
  else if (event.key === "o") byId("outlines").click();
  else if (channel >= 0 && row) row.querySelector("input[type=checkbox]").click();
}

function changed(problem) {
  page.isExample = false;
  updateStart(problem);
}

function restart() {
  page.cells = null;
  page.isExample = false;
  page.zones.clear();
  updateStart();
  show("start");
  byId("choose-all").focus();
}

async function begin() {
  try {
    page.model = await getJson("/api/model");
  } catch (error) {
    tell(byId("problem"), error.message);
    return;
  }
  page.zones = new Zones(page.model.channels, page.model.optional_channels, changed);
  page.viewer = new Viewer(byId("canvas"), { hover, choose: (label) => choose(label, { scroll: true }) });
  page.table = new Table(byId("table"), {
    choose: (label) => choose(label, { move: true }),
    hover: (label) => { page.viewer.mark({ hovered: label }); hover(label, null); },
  });
  drawBars(byId("bars"), page.model.classes, null);
  listen();
  updateStart();
  document.body.dataset.ready = "yes";
}

begin();
