// What is told of each person: a bar per expression, valence and arousal, and the crop.

import { EIGHT, background, caption, percent, personColour, reading } from "./expressions.js";

const MOST = 12; // people who are shown at once
const TRAIL = 3; // seconds
const STAYS = 1.5; // seconds for which a person who is not seen any more keeps the card

const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};

export class Cards {
  constructor(list) {
    this.list = list;
    this.cards = new Map();
  }

  clear() {
    this.list.replaceChildren();
    this.cards.clear();
  }

  // `t` is the time in seconds, rising; `affect` says whether the model tells valence and arousal.
  update(faces, t, { affect, crops, colours }) {
    for (const face of faces.slice(0, MOST)) {
      let card = this.cards.get(face.face_id);
      if (!card) {
        card = new Card(face.face_id);
        this.cards.set(face.face_id, card);
        this.insert(card);
      }
      card.update(face, t, affect, crops, colours);
    }
    for (const [id, card] of this.cards) {
      card.away(t - card.seen > 0);
      if (t - card.seen > STAYS) {
        card.node.remove();
        this.cards.delete(id);
      }
    }
  }

  insert(card) {
    const after = [...this.cards.values()].find((other) => other.id > card.id && other.node.parentNode);
    this.list.insertBefore(card.node, after ? after.node : null);
  }
}

class Card {
  constructor(id) {
    this.id = id;
    this.trail = [];
    this.node = make("li", "card");
    this.node.dataset.id = id;
    const head = make("h3");
    const chip = make("span", "chip", String(id));
    chip.style.background = personColour(id);
    this.top = make("span", "top");
    head.append(make("span", "spoken", "Person "), chip, this.top);
    this.bars = EIGHT.map(bar);
    const bars = make("ul", "bars");
    bars.append(...this.bars.map((one) => one.node));
    this.side = make("div", "side");
    this.node.append(head, bars, this.side);
  }

  update(face, t, affect, crops, colours) {
    const read = reading(face);
    this.seen = t;
    this.top.textContent = caption(face);
    this.bars.forEach((one, i) => one.set(read.probabilities[EIGHT[i]], EIGHT[i] === read.expression));
    if (affect && read.valence !== null && read.valence !== undefined) {
      this.trail.push([t, read.valence, read.arousal]);
      this.trail = this.trail.filter((point) => t - point[0] <= TRAIL);
      this.circle(read, colours);
    }
    this.crop(crops ? face.crop : null);
  }

  away(gone) {
    this.node.classList.toggle("away", gone);
  }

  crop(url) {
    if (!url) {
      this.picture?.remove();
      this.picture = null;
      return;
    }
    if (!this.picture) {
      this.picture = make("figure", "crop");
      this.image = make("img");
      this.image.alt = `the crop of person ${this.id} as the model is given it`;
      this.picture.append(this.image, make("figcaption", "", "as the model sees it"));
      this.side.append(this.picture);
    }
    this.image.src = url;
  }

  circle(read, colours) {
    if (!this.plane) {
      this.plane = make("canvas", "circle");
      this.plane.width = this.plane.height = 320;
      this.plane.setAttribute("role", "img");
      this.affect = make("figcaption");
      const figure = make("figure");
      figure.append(this.plane, this.affect);
      this.side.prepend(figure);
    }
    const words = `valence ${signed(read.valence)}, arousal ${signed(read.arousal)}`;
    this.affect.textContent = words;
    this.plane.setAttribute("aria-label", words);
    drawCircle(this.plane.getContext("2d"), this.trail, personColour(this.id), colours);
  }
}

const signed = (v) => `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(2)}`;

function bar(label) {
  const node = make("li");
  const track = make("span", "track");
  const fill = make("span", "fill");
  const value = make("span", "value");
  fill.style.backgroundImage = background(label);
  track.append(fill);
  node.append(make("span", "label", label), track, value);
  const set = (part, top) => {
    fill.style.clipPath = `inset(0 ${(100 * (1 - part)).toFixed(1)}% 0 0)`;
    value.textContent = percent(part);
    node.classList.toggle("first", top);
  };
  return { node, set };
}

// The plane of valence (to the right) and arousal (upwards), both -1 to 1, with the last seconds.
export function drawCircle(context, trail, colour, { ink, faint, edge }) {
  const size = context.canvas.width, middle = size / 2, radius = 0.4 * size;
  const x = (v) => middle + radius * v, y = (a) => middle - radius * a;
  context.clearRect(0, 0, size, size);
  context.strokeStyle = edge;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(middle, middle, radius, 0, 2 * Math.PI);
  context.moveTo(x(-1), middle);
  context.lineTo(x(1), middle);
  context.moveTo(middle, y(-1));
  context.lineTo(middle, y(1));
  context.stroke();
  context.fillStyle = faint;
  context.font = "24px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("aroused", middle, 22);
  context.fillText("calm", middle, size - 6);
  for (const [word, at, turn] of [["negative", 22, -1], ["positive", size - 22, 1]]) {
    context.save();
    context.translate(at, middle);
    context.rotate((turn * Math.PI) / 2);
    context.fillText(word, 0, 8);
    context.restore();
  }
  const last = trail[trail.length - 1];
  context.lineWidth = 5;
  context.strokeStyle = colour;
  for (let i = 1; i < trail.length; i++) {
    context.globalAlpha = 0.15 + 0.75 * (1 - (last[0] - trail[i][0]) / TRAIL);
    context.beginPath();
    context.moveTo(x(trail[i - 1][1]), y(trail[i - 1][2]));
    context.lineTo(x(trail[i][1]), y(trail[i][2]));
    context.stroke();
  }
  context.globalAlpha = 1;
  context.fillStyle = colour;
  context.strokeStyle = ink;
  context.lineWidth = 3;
  context.beginPath();
  context.arc(x(last[1]), y(last[2]), 11, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}
