// Crops in, probabilities out: mien/runtime/classify.py once more. `spec` is what the model's file
// says about itself.

import { EIGHT } from "./labels.js";
import { grey, resize } from "./crop.js";

// The crops as the network wants them: { data, dims }.
export function prepare(crops, spec) {
  const { size, channels, std_floor: floor } = spec.input;
  const plane = size * size, data = new Float32Array(crops.length * channels * plane);
  crops.forEach((crop, n) => {
    let fit = resize(crop, size);
    if (channels === 1 && fit.channels !== 1) fit = grey(fit);
    const out = data.subarray(n * channels * plane, (n + 1) * channels * plane);
    for (let c = 0; c < channels; c++) {
      const from = fit.channels === 1 ? 0 : c;
      for (let i = 0; i < plane; i++) out[c * plane + i] = fit.data[i * fit.channels + from];
    }
    standardise(out, floor);
  });
  return { data, dims: [crops.length, channels, size, size] };
}

function standardise(x, floor) {
  let sum = 0, squares = 0;
  for (const v of x) sum += v;
  const mean = sum / x.length;
  for (const v of x) squares += (v - mean) ** 2;
  const deviation = Math.max(Math.sqrt(squares / x.length), floor);
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean) / deviation;
}

export function softmax(logits, temperature = 1) {
  const top = Math.max(...logits);
  const parts = logits.map((v) => Math.exp((v - top) / temperature));
  const total = parts.reduce((sum, v) => sum + v, 0);
  return parts.map((v) => v / total);
}

// The default answer over the eight expressions; `logits` are arrays by head.
export function answer(spec, logits) {
  const { weights, prior_strength: strengths, priors = {}, temperature } = spec.answer;
  const total = EIGHT.map(() => 0), mass = EIGHT.map(() => 0);
  for (const [name, weight] of Object.entries(weights)) {
    const head = spec.heads.find((one) => one.name === name);
    const strength = strengths[name] ?? 0, divided = priors[name] ?? head.priors;
    const adjusted = Array.from(logits[name], (v, i) =>
      v / head.temperature - (strength ? strength * Math.log(divided[i]) : 0));
    softmax(adjusted).forEach((part, i) => {
      const column = EIGHT.indexOf(head.labels[i]);
      total[column] += weight * part;
      mass[column] += weight;
    });
  }
  const mixed = total.map((v, i) => v / Math.max(mass[i], 1e-6));
  const sum = mixed.reduce((a, b) => a + b, 0);
  return softmax(mixed.map((v) => Math.log(Math.max(v / sum, 1e-9))), temperature);
}

// What is told of each crop. `run` takes { data, dims } and gives arrays by output name.
export async function classify(crops, spec, run) {
  if (!crops.length) return [];
  const outputs = await run(prepare(crops, spec));
  return crops.map((_, n) => {
    const row = (name) => {
      const k = outputs[name].length / crops.length;
      return Array.from(outputs[name].subarray(n * k, (n + 1) * k));
    };
    const logits = Object.fromEntries(spec.heads.map(({ name }) => [name, row(name)]));
    const parts = answer(spec, logits);
    return { ...told(parts, spec.answer.threshold), ...affect(spec, logits, parts) };
  });
}

const rounded = (v) => Math.round(v * 1e4) / 1e4;

// A reading as it is told: the expression and every probability, to four decimals. `shown` is the
// label that is told, the most probable one unless another is held; below `threshold` it is
// uncertain.
export function told(parts, threshold = 0, shown = parts.indexOf(Math.max(...parts))) {
  const probabilities = Object.fromEntries(EIGHT.map((label, i) => [label, rounded(parts[i])]));
  const probability = rounded(parts[shown]);
  return { expression: EIGHT[shown], probability, probabilities, uncertain: parts[shown] < threshold };
}

// Valence and arousal: of a head of their own, else the mean position of the expressions.
function affect(spec, logits, parts) {
  const [valence, arousal] = logits.affect ?? (spec.affect ? mean(spec, logits, parts) : []);
  const clipped = (v) => (v === undefined ? null : rounded(Math.min(1, Math.max(-1, v))));
  return { valence: clipped(valence), arousal: clipped(arousal) };
}

function mean(spec, logits, parts) {
  const { head: name, positions } = spec.affect;
  const head = spec.heads.find((one) => one.name === name);
  const labels = head ? head.labels : EIGHT;
  const weights = head ? softmax(Array.from(logits[name]), head.temperature) : parts;
  return [0, 1].map((axis) => labels.reduce((sum, label, i) => sum + weights[i] * positions[label][axis], 0));
}
