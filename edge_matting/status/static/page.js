// The live part of the status page.
import {
  ask, act, at, bytes, duration, exactMoment, fill, hasText, jobButtons, live, make, may, moment,
  notice, number, pace, picture, reasonOf, say, send, sentence, showSession, text,
} from "./common.js";
import { showHistory } from "./charts.js";
import { followUploads, showUpload, startUpload } from "./upload.js";

// The lists of jobs, and with them new thumbnails, are asked for at most so often; where many pages
// are open much less, for thumbnails cost most.
const listsMs = () => (pace.seconds <= 2 ? 4000 : pace.seconds * 6000);
const historyMs = () => listsMs() * 2.5;
const shown = { counts: "", lists: 0, history: 0, session: false, models: [],
  only: null, before: null }; // of what needs attention: one kind, and jobs before this one
const chosen = new Set(); // jobs marked for a download

function showState(status) {
  at("state").dataset.state = status.state;
  const word = text("state_" + status.state);
  say("word", word);
  document.title = `${word} · ${text("title")}`;
  const calm = ["working", "idle"].includes(status.state);
  const slower = calm && status.adaptation.lowered.length > 0;
  say("todo", slower ? text("slower") : sentence(status.by_itself_coded));
  const { review, failed } = status.queue.counts;
  const look = calm && review + failed > 0;
  say("person", look ? text("do_look") : sentence(status.to_do_coded));
  const told = JSON.stringify(status.by_itself_coded.values.reason);
  const same = (one) => one !== undefined && JSON.stringify(one) === told;
  const reasons = [...status.reasons_coded, ...status.not_ready_coded]
    .filter((one) => !same(one)) // that one stands above, and of a hint the hint alone is new
    .map((one) => sentence(same(one.values.what) ? { code: "verbatim", values: { text: one.values.hint } } : one));
  fill(at("reasons"), [...new Set(reasons)], (words) => words, (words) => make("li", {}, words));
  say("since", text("since", { time: moment(status.started_at) }));
  say("version", text("version", { version: status.version }));
  at("pause").hidden = !may.trusted || status.paused;
  at("resume").hidden = !may.trusted || !status.paused;
}

function showPreparing({ preparing }) {
  at("preparing").hidden = preparing === null;
  if (preparing === null) return;
  const { what, fraction, detail } = preparing;
  const words = hasText("preparing_" + what) ? text("preparing_" + what)
    : text("preparing_other", { what });
  say("preparing-text", words + (detail === null ? "" : ` · ${detail}`));
  if (fraction === null) at("preparing-bar").removeAttribute("value");
  else at("preparing-bar").value = fraction;
}

function showNumbers({ queue, rates }) {
  say("waiting", String(queue.counts.pending + queue.arriving));
  say("arriving", queue.arriving > 0 ? text("arriving", { n: queue.arriving }) : "");
  const { withdrawn } = queue.counts;
  say("withdrawn", withdrawn > 0 ? text("withdrawn", { n: withdrawn }) : "");
  const oldest = queue.oldest_pending_seconds;
  say("oldest", oldest === null ? "" : text("oldest", { time: duration(oldest) }));
  say("running", String(queue.counts.running));
  const busy = queue.counts.pending + queue.counts.running > 0;
  const left = queue.eta_seconds === null ? text("left_unknown")
    : text("left", { time: duration(queue.eta_seconds) });
  say("eta", busy ? left : "");
  const rate = (value) => (value === null ? "–" : number(value));
  say("rate", rate(rates.last_minute));
  say("rate-hour", rates.last_hour === null ? "" : text("rate_hour", { n: rate(rates.last_hour) }));
  for (const kind of ["succeeded", "review", "failed"]) {
    say(kind, String(queue.counts[kind]));
    at(kind).parentElement.dataset.some = queue.counts[kind] > 0 ? "yes" : "no";
  }
}

function folderRow(folder) {
  const facts = [text("recipe"), " ", folder.recipe, " · ", sentence(folder.watch_coded), " · ", text("free"), " ",
    bytes(folder.free_bytes)].join("");
  return make("li", { "data-kind": folder.problem === null ? "fine" : "problem" },
    make("div", { class: "what" },
      make("bdi", { class: "title" }, folder.path),
      make("span", { class: "detail" }, facts),
      folder.problem === null ? null : make("strong", {}, sentence(folder.problem_coded))));
}

const label = (name) => (name.length <= 4 ? name.toUpperCase() : name); // CPU, CUDA, tensorrt

function providerText(execution) {
  if (!execution) return text("unknown");
  const requested = label(execution.requested);
  if (execution.actual === null) return text("provider_waiting", { requested });
  const same = execution.actual === execution.requested;
  const words = text(same ? "provider_same" : "provider_other",
    { actual: label(execution.actual), requested });
  return execution.cause === null ? words : words + " (" + sentence(execution.cause_coded) + ")";
}

// How it is known that the model runs there: nodes, one picture timed, the self-test.
function proofLines(execution) {
  if (!execution) return [];
  const { nodes, seconds, cpu_seconds: onCpu, self_test: test, notes_coded: notes } = execution;
  const count = Object.entries(nodes).map(([where, n]) => `${where} ${n}`).join(", ");
  return [
    count && text("proof_nodes", { count }),
    seconds && text("proof_seconds", { seconds: number(seconds, 3) })
      + (onCpu ? text("proof_cpu", { seconds: number(onCpu, 3) }) : ""),
    test !== null && text("proof_test", { difference: test.toFixed(4) }),
    ...notes.map(sentence),
  ].filter((line) => line);
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

function cacheText({ hits, misses, saved_seconds: saved }) {
  const all = hits + misses;
  if (all === 0) return text("cache_none");
  const words = text("cache_counts", { hits, all, percent: Math.round((hits / all) * 100) });
  return hits > 0 && saved !== null ? words + text("cache_saved", { time: duration(saved) }) : words;
}

const adaptedText = (counts) => counts
  .map(({ cause, direction, count }) => text("adapted_" + direction,
    { cause: { code: `cause_${cause}`, values: {} }, count }))
  .join(" · ");

function cacheLines({ entries, memory_bytes: memory, disk_bytes: disk, problem_coded: problem }) {
  const stored = text("cache_stored", { n: entries, memory: bytes(memory), disk: bytes(disk) });
  return [...(entries > 0 ? [stored] : []), ...(problem === null ? [] : [sentence(problem)])];
}

const plateText = ({ camera, photos, since, updated }) => text("plate_line",
  { camera, photos, since: exactMoment(since), updated: exactMoment(updated) });

function deviceFacts(status) {
  const { device, vitals, plan, execution, engine } = status;
  const { lowered, counts } = status.adaptation;
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
    ["gpu", gpus || text("gpu_none"), vitals.gpu_problem === null ? [] : [sentence(vitals.gpu_problem_coded)]],
    ["temperature", temperatureText(vitals)],
    ...(power ? [["power", power]] : []),
    ["provider", providerText(execution), proofLines(execution)],
    ["plan", planned, plan === null ? [] : plan.reasons_coded.map(sentence)],
    ...(lowered.length + counts.length ? [["adapted", adaptedText(counts), status.adaptation.lowered_coded.map(sentence)]] : []),
    ["engine", text(engine.last_progress_seconds === null ? "engine_down"
      : engine.pid === null ? "engine_works" : "engine_up", engine)],
    ["cache", cacheText(status.cache), cacheLines(status.cache)],
    ...(status.plates.length ? [["plates", "", status.plates.map(plateText)]] : []),
    ["state_disk", bytes(status.state_free_bytes)],
    ...(device.notes.length ? [["notes", "", device.notes_coded.map(sentence)]] : []),
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

const jobLink = (job) =>
  make("a", { class: "title", href: `/jobs/${job.id}` }, make("bdi", {}, job.source));

function attentionRow(job) {
  return make("li", { "data-kind": job.state }, picture(job),
    make("div", { class: "what" },
      jobLink(job),
      make("span", { class: "detail" },
        [text(job.state), moment(job.updated_at), reasonOf(job)].join(" · "))),
    jobButtons(job, shown.models));
}

function mark(job) {
  const box = make("input", { type: "checkbox", "aria-label": text("choose", { name: job.source }) });
  box.checked = chosen.has(job.id);
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(job.id); else chosen.delete(job.id);
    showChosen();
  });
  return box;
}

function showChosen() {
  const link = at("download-chosen");
  link.hidden = chosen.size === 0;
  link.href = `/api/v1/results.zip?jobs=${[...chosen].join(",")}`;
  link.textContent = text("download_chosen", { n: chosen.size });
}

function resultCard(job) {
  const took = job.seconds === null ? "" // on one line with its unit
    : ` · ${text("seconds", { n: number(job.seconds) }).replace(" ", "\u00a0")}`;
  return make("li", {},
    picture(job) ?? (may.trusted ? make("span", { class: "blank" }, text("no_thumbnail")) : null),
    make("div", { class: "text" },
      may.trusted ? mark(job) : null,
      make("div", { class: "what" }, jobLink(job),
        make("span", { class: "detail" }, moment(job.finished_at ?? job.updated_at) + took))));
}

function attentionButton(words, only, before = null) {
  const node = make("button", { type: "button" }, words);
  node.addEventListener("click", () => {
    Object.assign(shown, { only, before, lists: 0, counts: "" });
    document.dispatchEvent(new Event("acted"));
  });
  return node;
}

// None of the failed or doubted is out of reach: by kind, page by page.
function showAttention(jobs, next, counts) {
  fill(at("attention"), jobs, (job) => job.id, attentionRow);
  at("attention-none").hidden = jobs.length > 0 || shown.only !== null;
  const { failed, review } = counts;
  const all = shown.only === null ? failed + review : counts[shown.only];
  at("attention-more").hidden = shown.only === null && jobs.length >= all;
  at("attention-more").replaceChildren(
    make("span", {}, text("attention_some", { n: jobs.length, all })),
    ...(shown.only === null ? [] : [attentionButton(text("attention_all"), null)]),
    ...(failed > 0 ? [attentionButton(text("attention_failed", { n: failed }), "failed")] : []),
    ...(review > 0 ? [attentionButton(text("attention_review", { n: review }), "review")] : []),
    ...(next === null ? [] : [attentionButton(text("attention_older"), shown.only, next)]));
}

async function showJobs(counts) {
  const { body } = await ask("/api/v1/recent");
  if (shown.only === null) showAttention(body.attention, null, counts);
  else {
    const older = shown.before === null ? "" : `&before=${shown.before}`;
    const page = (await ask(`/api/v1/jobs?state=${shown.only}&limit=20${older}`)).body;
    showAttention(page.jobs, page.next_before, counts);
  }
  fill(at("results"), body.results, (job) => job.id, resultCard);
  at("results-none").hidden = body.results.length > 0;
}

async function checkSession() {
  const session = await showSession();
  at("unlock").hidden = session.trusted || !session.token_set;
  at("local-only").hidden = session.trusted || session.token_set;
  at("lock").hidden = !(session.trusted && session.token_set);
  shown.session = true;
}

function showStatus(status) {
  shown.models = status.models;
  showState(status);
  showPreparing(status);
  showNumbers(status);
  showDevice(status);
  showUpload(status);
  fill(at("folders"), status.folders, (folder) => folder.path, folderRow);
}

function showNoAnswer() {
  at("state").dataset.state = "unreachable";
  say("word", text("state_unreachable"));
  say("todo", text("do_unreachable"));
  say("person", "");
  at("reasons").replaceChildren();
  Object.assign(shown, { counts: "", lists: 0, history: 0, session: false });
}

// What stands below the state; without it the state is as true as before.
async function showLists(status) {
  const counts = JSON.stringify([status.queue.counts, status.finished]);
  const now = performance.now();
  if (counts !== shown.counts && (shown.lists === 0 || now - shown.lists >= listsMs())) {
    await showJobs(status.queue.counts);
    Object.assign(shown, { counts, lists: now });
  }
  await followUploads();
  if (shown.history === 0 || now - shown.history >= historyMs()) {
    showHistory((await ask("/api/v1/history")).body);
    shown.history = now;
  }
}

async function refresh() {
  let status;
  try {
    if (!shown.session) await checkSession();
    const { body, changed } = await ask("/api/v1/status");
    status = body;
    if (changed || shown.counts === "") showStatus(status);
  } catch (error) {
    console.info("no answer:", error.message);
    showNoAnswer();
    return;
  }
  try {
    await showLists(status);
  } catch (error) {
    console.info("no lists:", error.message);
  }
}

async function enter(method, body) {
  try {
    await send(method, "/api/v1/session", body);
  } catch (error) {
    notice(text("action_failed", { message: error.message }));
  }
  at("token").value = "";
  shown.session = false;
  document.dispatchEvent(new Event("acted"));
}

at("pause").addEventListener("click", () => act(at("pause"), "/api/v1/pause"));
at("resume").addEventListener("click", () => act(at("resume"), "/api/v1/resume"));
at("lock").addEventListener("click", () => enter("DELETE"));
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  enter("POST", { token: at("token").value });
});
at("day").addEventListener("change", () => {
  // The day of this browser's clock, as the page shows its times.
  const [year, month, day] = at("day").value.split("-").map(Number);
  const [since, until] = [day, day + 1].map((one) => new Date(year, month - 1, one));
  if (!Number.isNaN(since.getTime())) {
    at("download-day").href = `/api/v1/results.zip?day=${at("day").value}`
      + `&since=${since.toISOString()}&until=${until.toISOString()}`;
  }
  at("download-day").hidden = !at("day").value;
});
document.addEventListener("acted", () => { shown.counts = ""; shown.lists = 0; });
startUpload();
live(refresh);
