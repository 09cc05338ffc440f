// The last seconds of everyone, as bands of the probabilities one above the other.

import { EIGHT, clock, pattern, personColour, reading } from "./expressions.js";

const LANES = 4; // people shown at once: those seen last
const LANE = 56;
const GAP = 10;
const LEFT = 40;
const AXIS = 22;
const APART = 1; // seconds without a reading after which a band is broken
const MEMORY = 600; // seconds that can be looked back

export class Timeline {
  constructor(canvas, slider, words) {
    Object.assign(this, { canvas, slider, words, span: 30 });
    this.context = canvas.getContext("2d");
    slider.addEventListener("input", () => this.draw());
    this.clear();
  }

  clear() {
    this.people = new Map();
    this.now = this.start = 0;
    this.frames = 0;
    this.slider.value = "0";
    this.slider.max = "0";
    this.slider.disabled = true;
  }

  add(faces, t) {
    if (!this.frames) this.start = t;
    this.now = t;
    this.frames += 1;
    for (const face of faces) {
      const { probabilities } = reading(face);
      if (!this.people.has(face.face_id)) this.people.set(face.face_id, []);
      this.people.get(face.face_id).push({ t, p: EIGHT.map((label) => probabilities[label]) });
    }
    if (this.frames % 256 === 0) this.forget();
  }

  forget() {
    for (const [id, points] of this.people) {
      const first = points.findIndex((point) => point.t >= this.now - MEMORY);
      if (first < 0) this.people.delete(id);
      else points.splice(0, first);
    }
    this.start = Math.max(this.start, this.now - MEMORY);
  }

  // The stretch that is looked at, in seconds.
  view() {
    const back = Math.max(0, this.now - this.start - this.span);
    this.slider.max = String(Math.ceil(back));
    this.slider.disabled = back <= 0;
    const end = Math.max(this.start + this.span, this.now - Math.min(Number(this.slider.value), back));
    return [end - this.span, end];
  }

  draw(colours = this.colours) {
    this.colours = colours;
    if (!colours) return;
    const [from, to] = this.view();
    const shown = [...this.people]
      .filter(([, points]) => points.some((point) => point.t >= from && point.t <= to))
      .sort((a, b) => b[1][b[1].length - 1].t - a[1][a[1].length - 1].t || a[0] - b[0])
      .slice(0, LANES)
      .sort((a, b) => a[0] - b[0]);
    const lanes = Math.max(1, shown.length);
    const width = this.size(lanes * (LANE + GAP) + AXIS);
    const toX = (t) => LEFT + ((t - from) / (to - from)) * (width - LEFT - 8);
    this.axis(from, to, toX, lanes * (LANE + GAP));
    if (!shown.length) this.ground(0, toX(to));
    shown.forEach(([id, points], i) => this.lane(id, points, i * (LANE + GAP), from, to, toX));
    const back = Number(this.slider.value);
    this.words.textContent = this.frames
      ? `${clock(from)} to ${clock(Math.min(to, this.now))}${back ? `, ${back} s back` : ""}`
      : "nothing yet";
    this.slider.setAttribute("aria-valuetext", `${back} seconds back`);
    this.canvas.setAttribute("aria-label",
      `probabilities over the last ${this.span} seconds of ${shown.length} people`);
  }

  size(height) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(200, this.canvas.parentNode.clientWidth);
    const wanted = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wanted[0] || this.canvas.height !== wanted[1]) {
      [this.canvas.width, this.canvas.height] = wanted;
      this.canvas.style.height = `${height}px`;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    return width;
  }

  axis(from, to, toX, bottom) {
    const { context, colours } = this;
    context.strokeStyle = colours.edge;
    context.fillStyle = colours.faint;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    context.lineWidth = 1;
    const step = this.span <= 30 ? 5 : 10;
    for (let t = Math.max(0, Math.ceil(from / step) * step); t <= to; t += step) {
      const x = Math.round(toX(t)) + 0.5;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, bottom + 2);
      context.stroke();
      if (x < toX(to) - 14) context.fillText(clock(t), x, bottom + 16);
    }
  }

  ground(top, right) {
    this.context.fillStyle = this.colours.lane;
    this.context.fillRect(LEFT, top, right - LEFT, LANE);
  }

  lane(id, points, top, from, to, toX) {
    const { context } = this;
    this.ground(top, toX(to));
    context.fillStyle = personColour(id);
    context.fillRect(0, top, LEFT - 10, LANE);
    context.fillStyle = "#101010";
    context.font = "600 15px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(String(id), (LEFT - 10) / 2, top + LANE / 2 + 5);
    context.save();
    context.beginPath();
    context.rect(LEFT, top, toX(to) - LEFT, LANE);
    context.clip();
    for (const run of runs(points, from, to)) this.bands(run, top, toX);
    context.restore();
  }

  bands(run, top, toX) {
    const { context } = this;
    const xs = run.map((point) => toX(point.t));
    if (xs.length === 1) {
      xs.push(xs[0] + 2);
      run = [run[0], run[0]];
    }
    let lower = run.map(() => 0);
    EIGHT.forEach((label, k) => {
      const upper = run.map((point, i) => lower[i] + point.p[k]);
      context.fillStyle = pattern(context, label);
      context.beginPath();
      upper.forEach((v, i) => context.lineTo(xs[i], top + LANE * (1 - v)));
      for (let i = xs.length - 1; i >= 0; i--) context.lineTo(xs[i], top + LANE * (1 - lower[i]));
      context.fill();
      lower = upper;
    });
  }
}

// Stretches without a gap, with one point beyond each end of what is looked at.
export function runs(points, from, to) {
  const out = [];
  let last = -Infinity;
  for (const point of points) {
    if (point.t < from - APART || point.t > to + APART) continue;
    if (point.t - last > APART) out.push([]);
    out[out.length - 1].push(point);
    last = point.t;
  }
  return out;
}
