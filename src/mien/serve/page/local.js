// The backend without a server: the networks run in this browser, in a worker.

import { People } from "./people.js";

const LONGEST = 4096; // pixels of a photo's longer side; larger ones are shrunk before

export async function connect(on) {
  on.state("", "Loading the networks …");
  const response = await fetch(new URL("models.json", import.meta.url));
  if (!response.ok) throw new Error(`models.json cannot be read (${response.status}).`);
  return new Local(await response.json());
}

export class Local {
  constructor({ default: first, models, detector }) {
    Object.assign(this, { first, models, detector });
    this.where = "Everything runs in this browser; no picture leaves it, and none is stored.";
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.asked = 0;
    this.worker.onmessage = ({ data }) => this.told(data);
    this.worker.onerror = (event) => {
      for (const { fail } of this.waiting.values()) fail(new Error(event.message || "The networks cannot be loaded."));
      this.waiting.clear();
    };
  }

  told({ id, told, ms, failed }) {
    const { done, fail } = this.waiting.get(id);
    this.waiting.delete(id);
    if (failed === undefined) done({ told, ms });
    else fail(new Error(`The networks cannot be run: ${failed}`));
  }

  ask(task, ask) {
    return new Promise((done, fail) => {
      this.waiting.set(++this.asked, { done, fail });
      this.worker.postMessage({ id: this.asked, task, ask });
    });
  }

  named(name) {
    return this.models.find((one) => one.name === name);
  }

  async read(picture, { model, crops }) {
    const ask = { picture, model: this.named(model), detector: this.detector, crops };
    const { told, ms } = await this.ask("read", ask);
    const faces = told.map((face) => (face.crop ? { ...face, crop: address(face.crop) } : face));
    return { width: picture.width, height: picture.height, faces, ms };
  }

  async analyze(file, { model }) {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const factor = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(bitmap.width * factor);
    canvas.height = Math.round(bitmap.height * factor);
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff"; // what is transparent is white in Python, too
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return this.read(pixels(canvas), { model, crops: true });
  }

  stream(options, on) {
    return new Live(this, options, on);
  }
}

// One frame at a time; those that come in between are not taken.
class Live {
  constructor(backend, options, on) {
    Object.assign(this, { backend, options, on, ready: true, people: new People() });
    queueMicrotask(() => on.state("live", ""));
  }

  async send(frame) {
    this.ready = false;
    try {
      const answer = await this.backend.read(pixels(frame.canvas), {
        model: this.options.model, crops: this.options.crops(),
      });
      if (this.ended) this.on.drop(frame);
      else this.on.answer(frame, this.evened(answer, frame.t));
    } catch (error) {
      this.on.drop(frame);
      this.on.state("trouble", error.message);
    }
    this.ready = !this.ended;
  }

  evened(answer, t) {
    const ids = this.people.identify(answer.faces.map(({ box }) => box), t);
    const { threshold } = this.backend.named(this.options.model).spec.answer;
    const faces = answer.faces
      .map((face, i) => ({ ...face, face_id: ids[i], smoothed: this.people.smooth(ids[i], face, t, threshold) }))
      .sort((a, b) => a.face_id - b.face_id);
    return { ...answer, faces };
  }

  close() {
    this.ended = true;
    this.ready = false;
  }
}

function pixels(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { data, width, height, channels: 4 };
}

// A crop as an address for <img>.
function address({ data, width, height, channels }) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.toDataURL();
}
