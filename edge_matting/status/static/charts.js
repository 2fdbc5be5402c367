// The last hour as two rows of bars. Sizes are SVG attributes: the page allows no inline style.
import { at, draw, number, say, text } from "./common.js";

const WIDE = 600;
const HIGH = 100;

function bar(index, count, height, top, name) {
  const width = WIDE / count;
  return draw("rect", { x: index * width + 1, y: HIGH - top, width: width - 2, height, class: name });
}

function bars(chart, values, name, most) {
  return values.flatMap((value, index) => {
    const height = most > 0 && value > 0 ? Math.max(2, (value / most) * HIGH) : 0;
    return height ? [bar(index, chart, height, height, name)] : [];
  });
}

function show(id, nodes) {
  at(id).replaceChildren(
    draw("line", { x1: 0, x2: WIDE, y1: HIGH, y2: HIGH, class: "axis" }), ...nodes);
}

function weighted(slots) {
  const timed = slots.filter((slot) => slot.mean_seconds !== null);
  const finished = timed.reduce((sum, slot) => sum + slot.finished, 0);
  const seconds = timed.reduce((sum, slot) => sum + slot.finished * slot.mean_seconds, 0);
  return finished ? seconds / finished : null;
}

export function showHistory({ slots }) {
  const finished = slots.map((slot) => slot.finished);
  const most = Math.max(...finished);
  show("chart-rate", [
    ...bars(slots.length, finished, "bar", most),
    ...bars(slots.length, slots.map((slot) => slot.failed), "bad", most),
  ]);
  const sum = finished.reduce((a, b) => a + b, 0);
  say("chart-rate-text", sum ? text("chart_rate_text", { sum, most }) : text("chart_none"));

  const longest = slots.map((slot) => slot.longest_seconds ?? 0);
  const slowest = Math.max(...longest);
  show("chart-latency", [
    ...bars(slots.length, longest, "faint", slowest),
    ...bars(slots.length, slots.map((slot) => slot.mean_seconds ?? 0), "bar", slowest),
  ]);
  const mean = weighted(slots);
  say("chart-latency-text", mean === null ? text("chart_none")
    : text("chart_latency_text", { mean: number(mean, 2), slowest: number(slowest, 2) }));
}
