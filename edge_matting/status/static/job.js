// One job: its picture, its way through the appliance, its files and its sidecar.
import {
  ask, at, bytes, draw, duration, exactMoment, hasText, hintOf, jobButtons, live, make, may, number, picture,
  reasonOf, say, sentence, showSession, text,
} from "./common.js";

const JOB = document.documentElement.dataset.job;
const ADDRESS = `/api/v1/jobs/${JOB}`;
// The ledger keeps the stages by name; this is the order in which they happen.
const STAGES = ["read", "digest", "decode", "cache", "infer", "ground", "refine", "assess",
  "foreground", "encode", "reuse", "publish"];
const shown = { seen: "", models: [] };

function facts(list, rows) {
  list.replaceChildren(...rows.filter(([, words]) => words !== null && words !== "")
    .flatMap(([key, words]) => [make("dt", {}, text(key)), make("dd", {}, words)]));
}

function showHead(job) {
  document.title = `${job.source} · ${text("title")}`;
  say("source", job.source);
  at("state").dataset.job = job.state;
  say("word", text("job_" + job.state));
  const reason = job.state === "succeeded" || (job.code === null && job.message === null)
    ? "" : reasonOf(job);
  say("reason", reason);
  const hint = job.state === "succeeded" ? "" : hintOf(job);
  say("hint", hint === "" ? "" : text("what_to_do", { hint }));
  at("actions").replaceChildren(...[jobButtons(job, shown.models)].filter((node) => node !== null));
}

function step(when, words) {
  return make("li", {}, make("time", { datetime: when }, exactMoment(when)), " ", words);
}

function showWay(job) {
  const steps = [step(job.created_at, text("step_taken", { place: job.folder }))];
  if (job.attempts > 0) {
    const words = text("step_attempts", { n: job.attempts })
      + (job.alone ? text("step_alone") : "");
    steps.push(step(job.updated_at, words));
  }
  if (job.finished_at !== null) {
    const waited = (new Date(job.finished_at) - new Date(job.created_at)) / 1000;
    steps.push(step(job.finished_at,
      text("step_finished", { state: text("job_" + job.state), time: duration(waited) })));
  }
  at("way").replaceChildren(...steps);
}

function stageBar([stage, seconds], begin, total) {
  const bar = draw("svg", { viewBox: "0 0 600 12", preserveAspectRatio: "none", class: "stage",
    "aria-hidden": "true" },
  draw("rect", { x: (begin / total) * 600, y: 0, height: 12, class: "bar",
    width: Math.max(2, (seconds / total) * 600) }));
  return make("tr", {}, make("th", { scope: "row" }, hasText("stage_" + stage) ? text("stage_" + stage) : stage), make("td", {}, bar),
    make("td", { class: "figure" }, text("seconds", { n: number(seconds, 3) })));
}

function place(stage) {
  const index = STAGES.indexOf(stage);
  return index < 0 ? STAGES.length : index;
}

function showStages(result) {
  const stages = result === null ? []
    : Object.entries(result.seconds).filter(([stage]) => stage !== "total")
      .sort(([a], [b]) => place(a) - place(b));
  at("stages-part").hidden = stages.length === 0;
  const total = stages.reduce((sum, [, seconds]) => sum + seconds, 0) || 1;
  let begin = 0;
  at("stages").replaceChildren(...stages.map((entry) => {
    const row = stageBar(entry, begin, total);
    begin += entry[1];
    return row;
  }));
}

const named = (name) => (hasText("parameter_" + name) ? text("parameter_" + name) : name);
const parametersText = (parameters) => Object.entries(parameters ?? {})
  .map(([name, value]) => `${named(name)}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
  .join(" · ");

const groundText = ({ kind, plainness, noise, note }) =>
  [text("ground_" + kind), text("ground_figures", { plain: Math.round(plainness * 100), noise }), note]
    .filter(Boolean).join(" · ");

function showFacts(job, result) {
  const quality = result?.quality;
  facts(at("facts"), [
    ["recipe", job.recipe],
    ["parameters_own", parametersText(job.parameters)],
    ["file", job.original.place === "gone" ? text("place_gone")
      : `${job.original.place} / ${job.original.path}`],
    ["size", bytes(job.size) + (result === null ? ""
      : ` · ${result.source_size[0]} x ${result.source_size[1]}`)],
    ["model", result?.model.id ?? job.model],
    ["provider", result === null ? null
      : Object.entries(result.execution).map(([, value]) => [].concat(value).join(" x ")).join(" · ")],
    ["cache", result === null ? null : text("cache_" + result.cache)],
    ["quality", quality ? text("quality_line", {
      verdict: text("verdict_" + quality.verdict),
      coverage: Math.round((quality.coverage ?? 0) * 100),
      uncertain: ((quality.uncertain_fraction ?? 0) * 100).toFixed(1),
      border: Math.round((quality.border_contact ?? 0) * 100),
    }) : null],
    ["ground", result?.ground ? groundText(result.ground) : null],
    ["reasons", quality ? quality.reasons.map((code) => sentence({ code, values: {} })).join(" ") : null],
    ["message", job.state === "review" ? null : job.message],
    ["notes", result === null ? null : result.notes_coded.map(sentence).join(" ")],
    ["sha256", job.sha256],
  ]);
}

function showFiles(job) {
  const some = may.trusted && ["succeeded", "review"].includes(job.state);
  at("files-part").hidden = !some;
  if (!some) return;
  const links = job.outputs.map((output, index) => make("li", {},
    make("a", { href: `${ADDRESS}/files/${index}` }, make("bdi", {}, output.file)),
    make("span", { class: "detail" }, `${output.kind} · ${output.format}`)));
  at("files").replaceChildren(...links,
    make("li", {}, make("a", { href: `/api/v1/results.zip?jobs=${job.id}` }, text("download_all"))));
}

async function showSidecar(job) {
  const some = may.trusted && ["succeeded", "review"].includes(job.state);
  at("sidecar-part").hidden = !some;
  if (!some) return;
  const answer = await fetch(`${ADDRESS}/sidecar`, { cache: "no-store" });
  say("sidecar", answer.ok ? await answer.text() : text("sidecar_gone"));
}

async function refresh() {
  try {
    await showSession();
    shown.models = (await ask("/api/v1/status")).body.models;
    const { body: job } = await ask(ADDRESS);
    const seen = JSON.stringify([job, may, shown.models]);
    if (seen === shown.seen) return;
    shown.seen = seen;
    showHead(job);
    at("picture").replaceChildren(...[picture(job)].filter((node) => node !== null));
    showWay(job);
    showStages(job.result);
    showFacts(job, job.result);
    showFiles(job);
    await showSidecar(job);
  } catch (error) {
    console.info("no answer:", error.message);
    say("word", text("state_unreachable"));
    say("reason", error.message);
    shown.seen = "";
  }
}

live(refresh);
