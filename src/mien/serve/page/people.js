// Who is who from frame to frame, by where faces are, and readings evened out over time.
//
// The smoothing is that of mien/video/smooth.py. The ids are given more simply than in Python: the
// nearest face of a like size keeps its id; nobody is told by looks.

import { EIGHT } from "./labels.js";
import { told } from "./classify.js";
import { overlap } from "./yunet.js";

const GAP = 1; // seconds after which a face that is not seen is gone
const REACH = 1; // sides of the box that a face may have moved
const RATIO = 2; // and how much larger or smaller it may have become
const SMOOTH = 0.3;
const MARGIN = 0.1;
const HOLD = 0.2;

const side = ([a, b, c, d]) => Math.sqrt(Math.max(1, (c - a) * (d - b)));

function cost(one, other) {
  const mean = Math.sqrt(side(one) * side(other));
  const away = Math.hypot(one[0] + one[2] - other[0] - other[2], one[1] + one[3] - other[1] - other[3]) / 2 / mean;
  const ratio = Math.max(side(one) / side(other), side(other) / side(one));
  return away > REACH || ratio > RATIO ? Infinity : away + (1 - overlap(one, other)) + Math.log(ratio);
}

export class People {
  constructor() {
    this.known = new Map();
    this.next = 0;
  }

  // Give each of `boxes` its id at the time `t` in seconds.
  identify(boxes, t) {
    for (const [id, { seen }] of this.known) if (t - seen > GAP) this.known.delete(id);
    const pairs = [];
    boxes.forEach((box, i) => {
      for (const [id, { box: last }] of this.known) pairs.push([cost(last, box), id, i]);
    });
    const ids = boxes.map(() => null), taken = new Set();
    for (const [price, id, i] of pairs.sort((a, b) => a[0] - b[0])) {
      if (price === Infinity || ids[i] !== null || taken.has(id)) continue;
      ids[i] = id;
      taken.add(id);
    }
    boxes.forEach((box, i) => {
      ids[i] ??= this.next++;
      this.known.set(ids[i], { ...this.known.get(ids[i]), box, seen: t });
    });
    return ids;
  }

  // The reading of the person `id` at the time `t`, smoothed; uncertain below `threshold`.
  smooth(id, read, t, threshold = 0) {
    const person = this.known.get(id);
    const raw = EIGHT.map((label) => read.probabilities[label]);
    const last = person.level;
    const weight = last ? 1 - Math.exp(-(t - last.t) / SMOOTH) : 1;
    const towards = (from, to) => (from === null || from === undefined || to === null ? to : from + weight * (to - from));
    const level = {
      t,
      parts: raw.map((v, i) => (last ? last.parts[i] + weight * (v - last.parts[i]) : v)),
      valence: towards(last?.valence, read.valence),
      arousal: towards(last?.arousal, read.arousal),
    };
    person.level = level;
    person.held = hold(person.held, level.parts, t);
    const out = told(level.parts, threshold, person.held.label);
    return { ...out, valence: level.valence, arousal: level.arousal };
  }
}

// The label changes only when one and the same other one has led by a margin for a while.
function hold(held, parts, t) {
  const top = parts.indexOf(Math.max(...parts));
  if (!held) return { label: top, rival: null, since: t };
  const lead = parts[top] - parts[held.label];
  if (lead <= 0 || lead < MARGIN - 1e-9) return { label: held.label, rival: null, since: t };
  const since = top === held.rival ? held.since : t;
  if (t - since >= HOLD - 1e-9) return { label: top, rival: null, since: t };
  return { label: held.label, rival: top, since };
}
