// The picture with its faces marked: always the very picture that was read.

import { caption, pattern, personColour, personDash, reading } from "./expressions.js";

const LONGEST = 1600; // pixels of a photo's longer side on the page

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  // `picture` can be drawn and has a width and a height; the boxes are in pixels of `answer`.
  show(picture, answer) {
    const factor = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
    const width = Math.round(picture.width * factor);
    const height = Math.round(picture.height * factor);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    this.context.drawImage(picture, 0, 0, width, height);
    this.canvas.setAttribute("aria-label", told(answer));
    this.mark(answer, width / answer.width);
  }

  mark(answer, scale) {
    const { context, canvas } = this;
    const shown = canvas.clientWidth || canvas.width;
    const unit = Math.max(canvas.width / shown, canvas.width / 1600); // a pixel of the page
    const taken = [];
    const boxes = answer.faces.map((face) => face.box.map((v) => v * scale));
    context.save();
    answer.faces.forEach((face, i) => this.outline(face.face_id, boxes[i], unit));
    context.setLineDash([]);
    context.font = `600 ${Math.round(15 * unit)}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    answer.faces.forEach((face, i) => taken.push(this.label(face, boxes[i], unit, taken)));
    context.restore();
  }

  outline(id, [x0, y0, x1, y1], unit) {
    const { context } = this;
    const rectangle = [x0, y0, x1 - x0, y1 - y0];
    context.setLineDash([]);
    context.lineWidth = 5 * unit;
    context.strokeStyle = "rgba(0, 0, 0, .65)";
    context.strokeRect(...rectangle);
    context.setLineDash(personDash(id).map((n) => n * unit));
    context.lineWidth = 3 * unit;
    context.strokeStyle = personColour(id);
    context.strokeRect(...rectangle);
  }

  label(face, box, unit, taken) {
    const { context, canvas } = this;
    const words = [String(face.face_id), caption(face)];
    const [first, second] = words.map((word) => context.measureText(word).width);
    const pad = 6 * unit, height = 24 * unit, chip = first + 2 * pad, tile = 14 * unit;
    const width = chip + pad + tile + pad + second + pad;
    const [x, y] = place(box, width, height, canvas, taken);
    context.fillStyle = "rgba(16, 16, 16, .88)";
    context.fillRect(x, y, width, height);
    context.fillStyle = personColour(face.face_id);
    context.fillRect(x, y, chip, height);
    context.fillStyle = "#101010";
    context.fillText(words[0], x + pad, y + height / 2);
    context.fillStyle = pattern(context, reading(face).expression);
    context.fillRect(x + chip + pad, y + (height - tile) / 2, tile, tile);
    context.fillStyle = "#ffffff";
    context.fillText(words[1], x + chip + pad + tile + pad, y + height / 2);
    return [x, y, x + width, y + height];
  }
}

// Above the box, else below, else inside it: the first place that is free.
function place([x0, y0, , y1], width, height, canvas, taken) {
  const x = Math.min(Math.max(0, x0), Math.max(0, canvas.width - width));
  const inside = [y0 - height, y1, y0, y1 - height].filter((y) => y >= 0 && y + height <= canvas.height);
  const free = inside.find((y) =>
    !taken.some((t) => x < t[2] && t[0] < x + width && y < t[3] && t[1] < y + height));
  return [x, free ?? inside[0] ?? Math.max(0, y0)];
}

export function told(answer) {
  const faces = answer.faces.map((face) => `person ${face.face_id}, ${caption(face)}`);
  return faces.length ? `The picture that was read: ${faces.join("; ")}` : "The picture that was read: no face";
}
