// What both pages need. Names and messages come from files that anybody may drop: they only ever
// become text nodes or attribute values, never markup.

const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const PAGE = Math.random().toString(36).slice(2); // tells the server how many pages are open
const LANGUAGE = document.documentElement.lang;
// {name} is a value's place, {n:photo|photos} a value with its noun in singular or plural.
const PLACE = /\{(\w+)(?::([^|{}]*)\|([^{}]*))?\}/g;
const REASONS = JSON.parse(document.getElementById("reason-texts").textContent);
const SVG = "http://www.w3.org/2000/svg";

export const may = { trusted: false };
export const pace = { seconds: 2 }; // between two polls, as the server asks for

export const at = (id) => document.getElementById(id);
const filled =(words, values) =>
  words.replace(PLACE, (all, name, one, many) => {
    if (!(name in values)) return all;
    const value = values[name];
    const shown = typeof value === "object" && value !== null ? sentence(value) : String(value);
    return one === undefined ? shown : `${shown} ${shown === "1" ? one : many}`;
  });
export const text = (key, values = {}) => filled(TEXTS[key] ?? key, values);
export const hasText = (key) => key in TEXTS;

// A reason ({code, values}) in the page's language; one that this page does not know, by its code.
export function sentence({ code, values }) {
  const words = REASONS[code];
  return words === undefined ? [code, ...Object.values(values)].join(" ") : filled(words, values);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null)); // strings become text nodes
  return node;
}

export const make = (tag, attributes = {}, ...children) =>
  build(document.createElement(tag), attributes, children);
export const draw = (tag, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

export function say(id, words) {
  const node = at(id);
  if (node.textContent !== words) node.textContent = words; // unchanged: not announced again
}

export function duration(seconds) {
  if (seconds < 100) return text("seconds", { n: Math.round(seconds) });
  if (seconds < 6000) return text("minutes", { n: Math.round(seconds / 60) });
  if (seconds < 172800) return text("hours", { n: Math.round(seconds / 3600) });
  return text("days", { n: Math.round(seconds / 86400) });
}

export function bytes(count) {
  if (count === null) return text("unknown");
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = count < 1 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return (count / 1000 ** step).toFixed(step > 2 ? 1 : 0) + " " + units[step];
}

// The visitor's own way to write dates, where the page is in their language: en-GB is not en-US.
const LOCALE = navigator.languages.find((one) => one.split("-")[0] === LANGUAGE) ?? LANGUAGE;
const MOMENT = new Intl.DateTimeFormat(LOCALE, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
export const moment = (iso) => MOMENT.format(new Date(iso));
export const exactMoment = (iso) => EXACT.format(new Date(iso));
export const number = (value, digits = 1) => value.toFixed(value < 10 ? digits : 0);

// Keeps the node of every unchanged entry: focus, scrolling and pictures stay as they are.
export function fill(list, entries, keyOf, buildEntry) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = entries.map((entry) => {
    const seen = JSON.stringify([entry, may]);
    const known = old.get(String(keyOf(entry)));
    if (known && known.dataset.seen === seen) return known;
    const node = buildEntry(entry);
    node.dataset.key = keyOf(entry);
    node.dataset.seen = seen;
    return node;
  });
  const same = nodes.length === list.children.length && nodes.every((n, i) => n === list.children[i]);
  if (!same) list.replaceChildren(...nodes);
}

async function failure(answer) {
  try {
    const { error, error_coded: told } = await answer.json();
    return told === undefined ? error.message : sentence(told);
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

const known = new Map(); // address -> its last ETag and body

// Answers that have not changed cost the server and us next to nothing.
export async function ask(path) {
  const before = known.get(path);
  const headers = { "X-Page": PAGE };
  if (before) headers["If-None-Match"] = before.etag;
  const answer = await fetch(path, { headers, cache: "no-store" });
  pace.seconds = Number(answer.headers.get("X-Poll-Seconds")) || pace.seconds;
  if (answer.status === 304) return { body: before.body, changed: false };
  if (!answer.ok) throw new Error(await failure(answer));
  const body = await answer.json();
  const etag = answer.headers.get("ETag");
  if (etag) known.set(path, { etag, body });
  return { body, changed: true };
}

export async function send(method, path, body = undefined, kind = "application/json") {
  const headers = { "X-Requested-With": "edge-matting" };
  if (body !== undefined) headers["Content-Type"] = kind;
  const data = kind === "application/json" && body !== undefined ? JSON.stringify(body) : body;
  const answer = await fetch(path, { method, headers, body: data });
  if (!answer.ok) throw new Error(await failure(answer));
  return answer.json();
}

export function notice(words) {
  say("notice", words);
  at("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { at("notice").hidden = true; }, 8000);
}

// Does what a button stands for and says what came of it.
export async function act(button, path, body = undefined) {
  button.disabled = true;
  try {
    await send("POST", path, body);
    notice(text("action_done"));
  } catch (error) {
    notice(text("action_failed", { message: error.message }));
  }
  button.disabled = false;
  document.dispatchEvent(new Event("acted"));
}

export async function showSession() {
  const { body } = await ask("/api/v1/session");
  may.trusted = body.trusted;
  for (const node of document.querySelectorAll("[data-trusted]")) node.hidden = !body.trusted;
  return body;
}

// Why a job failed or is doubted, and what to do.
export const isHint = ({ code }) => code.startsWith("hint_");
export const reasonOf = (job) => job.reasons_coded.filter((one) => !isHint(one)).map(sentence).join(" ");
export const hintOf = (job) => job.reasons_coded.filter(isHint).map(sentence).join(" ");

export function picture(job) {
  if (!(job.preview && may.trusted)) return null;
  const version = encodeURIComponent(job.updated_at);
  return make("img", { src: `${job.preview}?v=${version}`, loading: "lazy",
    alt: text("thumbnail_of", { name: job.source }) });
}

function acceptButton(job) {
  const node = make("button", { type: "button", "aria-label": `${text("accept")}: ${job.source}` },
    text("accept"));
  node.addEventListener("click", () => act(node, `/api/v1/jobs/${job.id}/accept`));
  return node;
}

function modelChoice(job, models) {
  const used = job.model ?? text("model_usual");
  const others = models.filter((id) => id !== job.model);
  return make("select", { "aria-label": `${text("model")}: ${job.source}` },
    make("option", { value: "" }, text("model_same", { model: used })),
    ...others.map((id) => make("option", { value: id }, id)));
}

// A doubted result comes out the same by the same model: the button says so beforehand.
function retryButton(job, choice) {
  const node = make("button", { type: "button" });
  const show = () => {
    const model = choice?.value ?? "";
    const same = job.state === "review" && model === "";
    node.textContent = same ? text("retry_same") : model === "" ? text("retry")
      : text("retry_other", { model });
    node.title = same ? text("retry_same_why") : "";
    node.setAttribute("aria-label", `${node.textContent}: ${job.source}`);
  };
  choice?.addEventListener("change", show);
  node.addEventListener("click", () => {
    const model = choice?.value ?? "";
    act(node, `/api/v1/jobs/${job.id}/retry`, model === "" ? undefined : { model });
  });
  show();
  return node;
}

// Accept, and retry with the same or another model, where the job's state allows it.
export function jobButtons(job, models) {
  if (!may.trusted || !["review", "failed"].includes(job.state)) return null;
  const choice = models.length > 1 ? modelChoice(job, models) : null;
  return make("div", { class: "buttons" },
    job.state === "review" ? acceptButton(job) : null, retryButton(job, choice), choice);
}

// Calls `refresh` again and again while the page can be seen, and at once after an action.
export function live(refresh) {
  let timer = 0;
  async function turn() {
    clearTimeout(timer);
    if (!document.hidden) await refresh();
    clearTimeout(timer);
    timer = setTimeout(turn, pace.seconds * 1000);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  document.addEventListener("acted", turn);
  turn();
}
