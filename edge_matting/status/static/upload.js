// Photos dropped on the page or chosen in a dialog, sent part by part, one after the other.
import { ask, at, bytes, make, may, notice, reasonOf, say, send, text } from "./common.js";
import {
  offerParameters, parametersFit, parametersGiven, startParameters,
} from "./parameters.js";

const SHOWN = 8; // rows of photos that are done
const FOLLOWED = 6; // jobs asked for at a time
const offer = { recipes: [], folders: [], limit: 0, seen: "" };
const waiting = [];
let sending = false;

function options(select, entries, chosen) {
  const seen = JSON.stringify(entries);
  if (select.dataset.seen === seen) return;
  select.dataset.seen = seen;
  const before = select.value || chosen;
  select.replaceChildren(...entries.map(([value, words]) => make("option", { value }, words)));
  if (entries.some(([value]) => value === before)) select.value = before;
}

function explain() {
  const recipe = offer.recipes.find((one) => one.name === at("upload-recipe").value);
  if (!recipe) return;
  const over = recipe.background === null ? "" : " · " + text("over", { colour: recipe.background });
  const changes = Object.keys(parametersGiven()).length;
  const but = changes === 0 ? "" : " · " + text("parameters_changed", { n: changes });
  say("upload-makes", text("makes", { outputs: recipe.outputs.join(", ") }) + over + but);
  const seen = JSON.stringify(recipe);
  if (seen === offer.seen) return;
  offer.seen = seen;
  offerParameters(recipe.parameters);
}

export function showUpload({ recipes, folders, max_file_bytes: limit }) {
  Object.assign(offer, { recipes, folders, limit });
  options(at("upload-recipe"), recipes.map(({ name }) => [name, name]), folders[0]?.recipe);
  options(at("upload-folder"), folders.map(({ path }, index) => [String(index), path]), "0");
  at("upload-folder-row").hidden = folders.length < 2;
  at("upload-limit").textContent = text("upload_limit", { size: bytes(limit) });
  explain();
}

function row(file) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const detail = make("span", { class: "detail" }, text("upload_waiting"));
  const node = make("li", {}, make("bdi", { class: "title" }, file.name), bar, detail);
  at("uploads").prepend(node);
  return { node, bar, detail };
}

// Rows of photos that are done leave when there are too many; what went wrong stays to be read.
function trim() {
  const done = [...at("uploads").children].filter((node) => node.dataset.end === "done");
  for (const node of done.slice(SHOWN)) node.remove();
}

function end({ node, bar, detail }, outcome, words, job = null) {
  bar.remove();
  node.dataset.end = outcome;
  detail.textContent = words;
  if (job !== null && node.querySelector("a") === null) {
    const title = node.querySelector("bdi");
    title.replaceWith(make("a", { class: "title", href: `/jobs/${job}` }, title.cloneNode(true)));
  }
  trim();
}

async function upload({ file, recipe, folder, parameters, shown }) {
  if (file.size === 0) throw new Error(text("upload_empty"));
  const begun = await send("POST", "/api/v1/uploads",
    { name: file.name, size: file.size, recipe, folder, parameters });
  let answer = begun;
  for (let offset = 0; offset < file.size; offset += begun.part_bytes) {
    const part = file.slice(offset, offset + begun.part_bytes);
    answer = await send("PUT", `/api/v1/uploads/${begun.id}?offset=${offset}`, part,
      "application/octet-stream");
    shown.bar.value = Math.min(1, (offset + begun.part_bytes) / file.size);
  }
  return answer.job;
}

const followed = new Map(); // job -> the row that shows how it ends

// Each file's end is shown: asked for together with everything else, a few jobs at a time.
export async function followUploads() {
  for (const [id, shown] of [...followed].slice(0, FOLLOWED)) {
    const { body: job } = await ask(`/api/v1/jobs/${id}`);
    const ended = job.finished_at !== null;
    const words = [text("job_" + job.state), reasonOf(job)].filter((one) => one !== "").join(" · ");
    const bad = ["failed", "withdrawn"].includes(job.state);
    end(shown, ended ? (bad ? "bad" : "done") : "queued", words, job.id);
    followed.delete(id); // asked in turn: what is not finished goes to the back
    if (!ended) followed.set(id, shown);
  }
}

async function sendAll() {
  if (sending) return;
  sending = true;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    try {
      const job = await upload(next);
      end(next.shown, "queued", text("upload_done"), job);
      if (job !== null) followed.set(job, next.shown);
    } catch (error) {
      end(next.shown, "bad", text("upload_failed", { message: error.message }));
    }
  }
  sending = false;
  document.dispatchEvent(new Event("acted"));
}

function take(files) {
  if (!parametersFit()) {
    notice(text("parameters_wrong"));
    return;
  }
  const parameters = parametersGiven();
  const recipe = at("upload-recipe").value || null;
  const folder = Number(at("upload-folder").value || 0);
  for (const file of files) waiting.push({ file, recipe, folder, parameters, shown: row(file) });
  sendAll();
}

export function startUpload() {
  const zone = at("drop");
  at("upload-recipe").addEventListener("change", explain);
  startParameters(explain);
  at("upload-files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
  // The whole page takes a drop: a photo that misses the field must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.dataset.over = may.trusted ? "yes" : "no";
  });
  document.addEventListener("dragleave", () => { zone.dataset.over = "no"; });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.dataset.over = "no";
    if (may.trusted) take([...event.dataTransfer.files]);
  });
}
