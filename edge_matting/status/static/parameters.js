// Other settings than the recipe's, for the photos sent next: what is not chosen stays the recipe's.
import { at, make, text } from "./common.js";

const COLOURS = ["#ffffff", "#000000"];
const CHOICES = {
  format: ["png", "webp", "jpg", "tiff"],
  background: [...COLOURS, "colour", "blur"],
  crop: ["none", "subject"],
  ground: ["auto", "none", "plain", "green", "blue"],
  refinement: ["auto", "none", "fast", "quality"],
};
const NUMBERS = ["feather", "erode"];
const BLUR_PERCENT = 5;
const field = (name) => at(`parameter-${name}`);
const ownWords = new Set(["auto", "none", "plain", "green", "blue", "fast", "quality", "colour", "blur",
  "subject", ...COLOURS]);
const worded = (value) => (ownWords.has(value) ? text("choice_" + value.replace("#", "")) : value);

function ownValue(name, own) {
  if (name !== "crop") return worded(own);
  return own === null ? text("choice_none") : text("choice_margin", { n: own });
}

// Says at each field what the recipe itself has; what was chosen before stays chosen.
export function offerParameters(own) {
  for (const [name, values] of Object.entries(CHOICES)) {
    const chosen = field(name).value;
    field(name).replaceChildren(
      make("option", { value: "" }, text("as_recipe", { value: ownValue(name, own[name]) })),
      ...values.map((value) => make("option", { value }, worded(value))));
    field(name).value = chosen;
  }
  for (const name of NUMBERS) field(name).placeholder = text("as_recipe", { value: own[name] });
  showDependent();
}

function showDependent() {
  field("colour").hidden = field("background").value !== "colour";
  at("parameter-margin-row").hidden = field("crop").value !== "subject";
}

function background(chosen) {
  if (chosen === "colour") return field("colour").value;
  return chosen === "blur" ? { blur: BLUR_PERCENT } : chosen;
}

function crop(chosen) {
  if (chosen === "none") return null;
  return field("margin").value === "" ? true : { margin: Number(field("margin").value) };
}

const ground = (chosen) => (["green", "blue"].includes(chosen) ? { chroma: chosen } : chosen);

export function parametersGiven() {
  const given = {};
  const made = { background, crop, ground };
  for (const name of Object.keys(CHOICES)) {
    const chosen = field(name).value;
    if (chosen !== "") given[name] = made[name] ? made[name](chosen) : chosen;
  }
  for (const name of NUMBERS) {
    if (field(name).value !== "") given[name] = Number(field(name).value);
  }
  return given;
}

// Whether every number is one that the appliance takes; the first that is not is pointed at.
export function parametersFit() {
  const wrong = at("parameters").querySelector("input:invalid");
  if (wrong === null) return true;
  at("parameters").open = true;
  wrong.reportValidity();
  return false;
}

export function startParameters(changed) {
  const fields = at("parameters").querySelectorAll("select, input");
  const tell = () => { showDependent(); changed(); };
  for (const node of fields) node.addEventListener("change", tell);
  at("parameters-reset").addEventListener("click", () => {
    for (const node of fields) if (node.type !== "color") node.value = "";
    tell();
  });
}
