// YuNet's boxes, as mien/faces/yunet.py decodes them and mien/faces/selection.py chooses among them.

import { shrunk } from "./crop.js";

const STRIDES = [8, 16, 32];
const FLOOR = 0.3; // cells below this score are not decoded
const MIN_SCORE = 0.6;
const SAME_IOU = 0.4;
const SAME_NESTED = 0.7;
const LONGEST = 640;
const HEADS = ["cls", "obj", "bbox"];

export const OUTPUTS = HEADS.flatMap((head) => STRIDES.map((stride) => `${head}_${stride}`));

// Find the faces of a picture { data, width, height, channels }, best score first:
// [{ box: [x0, y0, x1, y1], score }]. `run` takes { data, dims } and gives arrays by output name.
export async function find(picture, run, options = {}) {
  const small = shrunk(picture, LONGEST);
  const { data, dims } = blob(small);
  const outputs = await run({ data, dims });
  const x = picture.width / small.width, y = picture.height / small.height;
  const faces = STRIDES.flatMap((stride) => decode(outputs, stride, dims[3] / stride));
  const scaled = faces.map(({ box: [a, b, c, d], score }) => ({ box: [a * x, b * y, c * x, d * y], score }));
  return finish(scaled, picture.width, picture.height, options);
}

// BGR planes 0..255, padded with black to multiples of 32.
function blob({ data, width, height, channels }) {
  const wide = Math.ceil(width / 32) * 32, high = Math.ceil(height / 32) * 32;
  const out = new Float32Array(3 * wide * high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * channels, to = y * wide + x;
      out[to] = data[from + 2];
      out[wide * high + to] = data[from + 1];
      out[2 * wide * high + to] = data[from];
    }
  }
  return { data: out, dims: [1, 3, high, wide] };
}

function decode(outputs, stride, columns) {
  const [cls, obj, bbox] = HEADS.map((head) => outputs[`${head}_${stride}`]);
  const out = [];
  for (let i = 0; i < cls.length; i++) {
    const score = Math.fround(Math.sqrt(clip(cls[i], 0, 1) * clip(obj[i], 0, 1)));
    if (score < FLOOR) continue;
    const x = ((i % columns) + bbox[4 * i]) * stride;
    const y = (Math.floor(i / columns) + bbox[4 * i + 1]) * stride;
    const w = Math.exp(bbox[4 * i + 2]) * (stride / 2), h = Math.exp(bbox[4 * i + 3]) * (stride / 2);
    out.push({ box: [x - w, y - h, x + w, y + h], score });
  }
  return out;
}

const clip = (v, low, high) => Math.min(Math.max(v, low), high);

// Clip to the picture, drop doubtful faces and duplicates, sort the best score first.
export function finish(faces, width, height, { minScore = MIN_SCORE, most = Infinity } = {}) {
  const kept = [];
  const clipped = faces.map(({ box: [a, b, c, d], score }) => ({
    box: [clip(a, 0, width), clip(b, 0, height), clip(c, 0, width), clip(d, 0, height)].map(Math.fround),
    score: clip(score, 0, 1),
  }));
  const wanted = clipped.filter(({ box, score }) =>
    box[2] > box[0] && box[3] > box[1] && score >= minScore);
  for (const face of wanted.sort((one, other) => other.score - one.score)) {
    if (!kept.some((better) => same(face.box, better.box))) kept.push(face);
  }
  return kept.slice(0, most);
}

const area = ([a, b, c, d]) => (c - a) * (d - b);

export function shared(one, other) {
  const w = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const h = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return Math.max(0, w) * Math.max(0, h);
}

export function overlap(one, other) {
  const common = shared(one, other);
  return common / Math.max(area(one) + area(other) - common, 1e-9);
}

function same(one, other) {
  const common = shared(one, other);
  return common > SAME_IOU * (area(one) + area(other) - common)
    || common > SAME_NESTED * Math.min(area(one), area(other));
}
