// The live part of the status page. Names and messages come from files that anybody may drop:
// they only ever become text nodes, never markup.
"use strict";

const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const POLL_MS = 2000;
const LISTS_EVERY = 5; // polls after which the lists are asked for although no count changed
const SHOWN = { results: 12, attention: 20 };
const may = { trusted: false };
let polls = 0;
let lastCounts = "";

const at = (id) => document.getElementById(id);
const text = (key, values = {}) =>
  (TEXTS[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null)); // strings become text nodes
  return node;
}

function say(id, words) {
  const node = at(id);
  if (node.textContent !== words) node.textContent = words; // unchanged: no announcement, no repaint
}

function duration(seconds) {
  if (seconds < 100) return text("seconds", { n: Math.round(seconds) });
  if (seconds < 6000) return text("minutes", { n: Math.round(seconds / 60) });
  if (seconds < 172800) return text("hours", { n: Math.round(seconds / 3600) });
  return text("days", { n: Math.round(seconds / 86400) });
}

function bytes(count) {
  if (count === null) return text("unknown");
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = count < 1 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return (count / 1000 ** step).toFixed(step > 2 ? 1 : 0) + " " + units[step];
}

const moment = (iso) =>
  new Intl.DateTimeFormat(document.documentElement.lang, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  }).format(new Date(iso));
const rate = (value) => (value === null ? "–" : value.toFixed(value < 10 ? 1 : 0));

// Keeps the node of every unchanged entry: focus, scrolling and pictures stay as they are.
function fill(list, entries, keyOf, build) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = entries.map((entry) => {
    const seen = JSON.stringify([entry, may.trusted]);
    const known = old.get(String(keyOf(entry)));
    if (known && known.dataset.seen === seen) return known;
    const node = build(entry);
    node.dataset.key = keyOf(entry);
    node.dataset.seen = seen;
    return node;
  });
  const same = nodes.length === list.children.length && nodes.every((n, i) => n === list.children[i]);
  if (!same) list.replaceChildren(...nodes);
}

async function call(path, method = "GET", body = undefined) {
  const options = { method, headers: { "X-Requested-With": "edge-matting" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
}

async function act(button, path) {
  button.disabled = true;
  try {
    await call(path, "POST");
    notice(text("action_done"));
  } catch (error) {
    notice(text("action_failed", { message: error.message }));
  }
  button.disabled = false;
  lastCounts = "";
  await refresh();
}

function notice(words) {
  say("notice", words);
  at("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { at("notice").hidden = true; }, 8000);
}

function showState(status) {
  const header = at("state");
  header.dataset.state = status.state;
  const calm = ["working", "idle"].includes(status.state);
  const blocked = calm && !status.ready; // such as a full disk
  header.dataset.ready = blocked ? "no" : "yes";
  const word = text("state_" + (blocked ? "blocked" : status.state));
  say("word", word);
  document.title = `${word} · ${text("title")}`;
  const { review, failed } = status.queue.counts;
  const look = calm && review + failed > 0;
  say("todo", text("do_" + (blocked ? "blocked" : look ? "look" : status.state)));
  const reasons = [...new Set([...status.reasons, ...status.not_ready])];
  fill(at("reasons"), reasons, (reason) => reason, (reason) => make("li", {}, reason));
  say("since", text("since", { time: moment(status.started_at) }));
  say("version", text("version", { version: status.version }));
  at("pause").hidden = !may.trusted || ["paused", "stopped"].includes(status.state);
  at("resume").hidden = !may.trusted || status.state !== "paused";
}

function showNumbers({ queue, rates }) {
  say("waiting", String(queue.counts.pending));
  const oldest = queue.oldest_pending_seconds;
  say("oldest", oldest === null ? "" : text("oldest", { time: duration(oldest) }));
  say("running", String(queue.counts.running));
  say("eta", queue.eta_seconds ? text("left", { time: duration(queue.eta_seconds) }) : "");
  say("rate", rate(rates.last_minute));
  say("rate-hour", rates.last_hour === null ? "" : text("rate_hour", { n: rate(rates.last_hour) }));
  for (const kind of ["succeeded", "review", "failed"]) {
    say(kind, String(queue.counts[kind]));
    at(kind).parentElement.dataset.some = queue.counts[kind] > 0 ? "yes" : "no";
  }
}

function folderRow(folder) {
  const facts = [text("recipe"), " ", folder.recipe, " · ", folder.watch, " · ", text("free"), " ",
    bytes(folder.free_bytes)].join("");
  return make("li", { "data-kind": folder.problem === null ? "fine" : "problem" },
    make("div", { class: "what" },
      make("bdi", { class: "title" }, folder.path),
      make("span", { class: "detail" }, facts),
      folder.problem === null ? null : make("strong", {}, folder.problem)));
}

function providerText(execution) {
  if (!execution) return text("unknown");
  if (execution.actual === null) return text("provider_waiting", execution);
  const same = execution.actual === execution.requested;
  const words = text(same ? "provider_same" : "provider_other", execution);
  return execution.cause === null ? words : words + " (" + execution.cause + ")";
}

function temperatureText({ cpu_celsius, gpu_celsius, throttled, slowdowns }) {
  const parts = [["CPU", cpu_celsius], ["GPU", gpu_celsius]]
    .filter(([, value]) => value !== null).map(([name, value]) => `${name} ${Math.round(value)} °C`);
  const causes = (slowdowns ?? []).map((word) => text("slow_" + word)).join(", ");
  if (throttled) parts.push(text("throttled") + (causes && ` (${causes})`));
  return parts.join(" · ") || text("unknown");
}

function powerText({ power_mode, gpu_clock_limit_hz, input_power_milliwatts, gpu_power_milliwatts }) {
  const watts = input_power_milliwatts ?? gpu_power_milliwatts;
  return [
    power_mode,
    gpu_clock_limit_hz === null ? null : text("gpu_cap", { n: Math.round(gpu_clock_limit_hz / 1e6) }),
    watts === null ? null : `${(watts / 1000).toFixed(0)} W`,
  ].filter((part) => part !== null).join(" · ");
}

function deviceFacts({ device, vitals, plan, execution, engine, cache }) {
  const load = (percent) => (percent === null ? "" : ` · ${Math.round(percent)} %`);
  const gpus = device.gpus.map((gpu) => gpu.name + load(vitals.gpu_percent)).join(", ");
  const power = powerText(vitals);
  const planned = plan === null ? text("plan_none")
    : text("plan_line", { ...plan, width: plan.resolution[0], height: plan.resolution[1] });
  return [
    ["board", (device.board ?? `${device.family} · ${device.machine}`)
      + (device.jetpack === null ? "" : ` · JetPack ${device.jetpack}`)],
    ["processor", text("processor_line", { model: device.cpu_model, n: device.usable_cpus })
      + load(vitals.cpu_percent)],
    ["memory", text("memory_free",
      { free: bytes(vitals.memory_available_bytes), total: bytes(device.memory_bytes) })],
    ["gpu", gpus || text("gpu_none"), vitals.gpu_problem === null ? [] : [vitals.gpu_problem]],
    ["temperature", temperatureText(vitals)],
    ...(power ? [["power", power]] : []),
    ["provider", providerText(execution)],
    ["plan", planned, plan === null ? [] : plan.reasons],
    ["engine", text(engine.pid === null ? "engine_down" : "engine_up", engine)],
    ["cache", text("cache_counts", { hits: cache.hits, all: cache.hits + cache.misses })],
    ...(device.notes.length ? [["notes", "", device.notes]] : []),
  ];
}

function showDevice(status) {
  const facts = deviceFacts(status);
  const seen = JSON.stringify(facts);
  if (at("device").dataset.seen === seen) return;
  at("device").dataset.seen = seen;
  at("device").replaceChildren(...facts.flatMap(([key, words, lines = []]) => [
    make("dt", {}, text(key)),
    make("dd", {}, words, lines.length
      ? make("ul", {}, ...lines.map((line) => make("li", {}, line))) : null),
  ]));
}

function picture(job) {
  if (!(job.preview && may.trusted)) return null;
  const version = encodeURIComponent(job.updated_at);
  return make("img", { src: `${job.preview}?v=${version}`, loading: "lazy",
    alt: text("preview_of", { name: job.source }) });
}

function button(job, action) {
  const node = make("button", { type: "button", "aria-label": `${text(action)}: ${job.source}` },
    text(action));
  node.addEventListener("click", () => act(node, `/api/v1/jobs/${job.id}/${action}`));
  return node;
}

function attentionRow(job) {
  const reason = [job.message, job.code].find((words) => words) ?? text("unknown");
  const buttons = may.trusted
    ? make("div", { class: "buttons" }, job.state === "review" ? button(job, "accept") : null,
      button(job, "retry"))
    : null;
  return make("li", { "data-kind": job.state }, picture(job),
    make("div", { class: "what" },
      make("bdi", { class: "title" }, job.source),
      make("span", { class: "detail" },
        [text(job.state), moment(job.updated_at), reason].join(" · "))),
    buttons);
}

function resultCard(job) {
  const took = job.seconds === null ? "" : ` · ${job.seconds.toFixed(1)} s`;
  return make("li", {},
    picture(job) ?? (may.trusted ? make("span", { class: "blank" }, text("no_preview")) : null),
    make("div", { class: "text" },
      make("bdi", { class: "title", title: job.source }, job.source),
      make("span", { class: "detail" }, moment(job.finished_at ?? job.updated_at) + took)));
}

async function showJobs() {
  const ask = (state, limit) => call(`/api/v1/jobs?state=${state}&limit=${limit}`);
  const [done, failed, review] = await Promise.all([
    ask("succeeded", SHOWN.results), ask("failed", SHOWN.attention), ask("review", SHOWN.attention),
  ]);
  const newest = (a, b) => b.id - a.id;
  const doubtful = [...failed.jobs, ...review.jobs].sort(newest).slice(0, SHOWN.attention);
  fill(at("attention"), doubtful, (job) => job.id, attentionRow);
  fill(at("results"), done.jobs, (job) => job.id, resultCard);
  at("attention-none").hidden = doubtful.length > 0;
  at("results-none").hidden = done.jobs.length > 0;
}

async function showSession() {
  const session = await call("/api/v1/session");
  may.trusted = session.trusted;
  at("unlock").hidden = session.trusted || !session.token_set;
  at("local-only").hidden = session.trusted || session.token_set;
  at("lock").hidden = !(session.trusted && session.token_set);
}

function showNoAnswer() {
  at("state").dataset.state = "unreachable";
  say("word", text("state_unreachable"));
  say("todo", text("do_unreachable"));
  at("reasons").replaceChildren();
  lastCounts = "";
}

async function refresh() {
  try {
    if (lastCounts === "") await showSession();
    const status = await call("/api/v1/status");
    showState(status);
    showNumbers(status);
    showDevice(status);
    fill(at("folders"), status.folders, (folder) => folder.path, folderRow);
    const counts = JSON.stringify([status.queue.counts, status.finished]);
    if (counts !== lastCounts || polls % LISTS_EVERY === 0) await showJobs();
    lastCounts = counts;
    polls += 1;
  } catch (error) {
    console.info("no answer:", error.message);
    showNoAnswer();
  }
}

async function enter(path, method, body) {
  try {
    await call(path, method, body);
  } catch (error) {
    notice(text("action_failed", { message: error.message }));
  }
  at("token").value = "";
  lastCounts = "";
  await refresh();
}

async function live() {
  if (!document.hidden) await refresh();
  setTimeout(live, POLL_MS);
}

at("pause").addEventListener("click", () => act(at("pause"), "/api/v1/pause"));
at("resume").addEventListener("click", () => act(at("resume"), "/api/v1/resume"));
at("lock").addEventListener("click", () => enter("/api/v1/session", "DELETE"));
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  enter("/api/v1/session", "POST", { token: at("token").value });
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
live();
