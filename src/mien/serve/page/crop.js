// Cutting faces out of a picture and shrinking pictures: mien/faces/crop.py once more, and of
// Pillow's resampling what that uses. Same pixels, to the bit.
//
// A picture is { data, width, height }: bytes RGB or RGBA or grey, `channels` of them a pixel.

const BITS = 22; // Pillow's fixed point: 32 bits less 8 of a pixel and 2 of safety

export const RECIPES = {
  "square-v1": { margin: 1.15, drop: 0.02 },
  "square-v2": { margin: 0.95, drop: 0.02 },
  "whole-v1": { margin: 1.0, drop: 0 },
};

// Nearest integer, halves to the even one, as numpy and Python round.
export function even(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

const clip = (v, low, high) => Math.min(Math.max(v, low), high);

// The square around a box x0, y0, x1, y1 in a picture: left, top and side.
export function square([x0, y0, x1, y1], width, height, recipe) {
  const longest = Math.max(width, height);
  const root = Math.sqrt(clip(x1 - x0, 0, 4 * longest) * clip(y1 - y0, 0, 4 * longest));
  const side = clip(root * recipe.margin, 1, 2 * longest);
  const x = (x0 + x1) / 2 - side / 2;
  const y = (y0 + y1) / 2 - side / 2 + root * recipe.drop;
  const sixteenths = (v) => even(v * 16) / 16;
  const far = (v) => sixteenths(clip(v, -8 * longest, 8 * longest));
  return [far(x), far(y), sixteenths(side)];
}

// The face in `box` as a picture of `size` x `size`; where its square leaves the picture, the
// border is repeated. `scale`: pixels of `picture` per pixel that the box counts in.
export function cut(picture, box, size, recipe, scale = 1) {
  const scaled = box.map((v) => v * scale);
  const [x, y, side] = square(scaled, picture.width, picture.height, recipe);
  const reach = Math.ceil(Math.max(1, side / size)) + 1;
  const left = Math.floor(x) - reach, top = Math.floor(y) - reach;
  const right = Math.ceil(x + side) + reach, bottom = Math.ceil(y + side) + reach;
  const around = region(picture, left, top, right, bottom);
  return resample(around, size, size, [x - left, y - top, x - left + side, y - top + side]);
}

function region({ data, width, height, channels }, left, top, right, bottom) {
  const wide = right - left, high = bottom - top;
  const out = new Uint8Array(wide * high * 3);
  let at = 0;
  for (let y = top; y < bottom; y++) {
    const row = clip(y, 0, height - 1) * width;
    for (let x = left; x < right; x++) {
      const from = (row + clip(x, 0, width - 1)) * channels;
      out[at++] = data[from];
      out[at++] = data[from + 1];
      out[at++] = data[from + 2];
    }
  }
  return { data: out, width: wide, height: high, channels: 3 };
}

// A crop at another size.
export function resize(crop, size) {
  if (crop.width === size && crop.height === size) return crop;
  return resample(crop, size, size, [0, 0, crop.width, crop.height]);
}

// The picture with its longer side at most `longest`, as the detectors are given it.
export function shrunk(picture, longest) {
  const factor = longest / Math.max(picture.height, picture.width);
  if (factor >= 1) return picture;
  const width = Math.max(1, even(picture.width * factor));
  const height = Math.max(1, even(picture.height * factor));
  const x = Math.trunc(picture.width / width / 2) || 1, y = Math.trunc(picture.height / height / 2) || 1;
  const small = x > 1 || y > 1 ? reduce(picture, x, y) : picture;
  return resample(small, width, height, [0, 0, picture.width / x, picture.height / y]);
}

// Means of blocks of x by y pixels; those at the right and lower edge may be smaller.
function reduce({ data, width, height, channels }, bx, by) {
  const wide = Math.ceil(width / bx), high = Math.ceil(height / by);
  const out = new Uint8Array(wide * high * channels);
  for (let v = 0; v < high; v++) {
    const rows = Math.min(by, height - v * by);
    for (let u = 0; u < wide; u++) {
      const columns = Math.min(bx, width - u * bx);
      const n = rows * columns, factor = Math.trunc(Math.fround(2 ** 24 / n)), half = Math.trunc(n / 2);
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let j = 0; j < rows; j++) {
          const row = ((v * by + j) * width + u * bx) * channels + c;
          for (let i = 0; i < columns; i++) sum += data[row + i * channels];
        }
        out[(v * wide + u) * channels + c] = Math.floor((sum * factor) / 2 ** 24);
      }
    }
  }
  return { data: out, width: wide, height: high, channels };
}

// The part `box` of the picture at `width` x `height`, by the triangle filter: first rows, then
// columns, rounded to bytes between the two.
export function resample(picture, width, height, [x0, y0, x1, y1]) {
  const across = weights(picture.width, Math.fround(x0), Math.fround(x1), width);
  const down = weights(picture.height, Math.fround(y0), Math.fround(y1), height);
  return columns(rows(picture, across, width), down, height);
}

// Of each output pixel: where its weights begin, how many there are, and they in fixed point.
function weights(length, from, to, count) {
  const scale = (to - from) / count, stretch = Math.max(scale, 1);
  const most = Math.ceil(stretch) * 2 + 1;
  const first = new Int32Array(count), size = new Int32Array(count);
  const values = new Int32Array(count * most);
  for (let i = 0; i < count; i++) {
    const centre = from + (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - stretch + 0.5));
    const high = Math.min(length, Math.trunc(centre + stretch + 0.5));
    const raw = [];
    let total = 0;
    for (let x = low; x < high; x++) {
      const w = Math.max(0, 1 - Math.abs((x - centre + 0.5) * (1 / stretch)));
      raw.push(w);
      total += w;
    }
    first[i] = low;
    size[i] = raw.length;
    raw.forEach((w, k) => {
      values[i * most + k] = Math.trunc(0.5 + (total ? w / total : w) * 2 ** BITS);
    });
  }
  return { first, size, values, most };
}

function rows({ data, width, height, channels }, { first, size, values, most }, count) {
  const out = new Uint8ClampedArray(count * height * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < count; i++) {
      const start = (y * width + first[i]) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, from = start + c; k < size[i]; k++, from += channels) {
          sum += data[from] * values[i * most + k];
        }
        out[at++] = sum >> BITS;
      }
    }
  }
  return { data: out, width: count, height, channels };
}

function columns({ data, width, channels }, { first, size, values, most }, count) {
  const out = new Uint8ClampedArray(width * count * channels);
  const step = width * channels;
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let x = 0; x < step; x++) {
      let sum = 1 << (BITS - 1);
      for (let k = 0, from = first[i] * step + x; k < size[i]; k++, from += step) {
        sum += data[from] * values[i * most + k];
      }
      out[at++] = sum >> BITS;
    }
  }
  return { data: out, width, height: count, channels };
}

// A colour crop in grey: ITU-R BT.601 luma.
export function grey({ data, width, height, channels }) {
  const out = new Uint8Array(width * height);
  for (let i = 0, from = 0; i < out.length; i++, from += channels) {
    out[i] = (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >>> 16;
  }
  return { data: out, width, height, channels: 1 };
}
