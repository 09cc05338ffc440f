// The two networks, run beside the page so that it stays quick.

import * as ort from "./ort.js";
import { classify } from "./classify.js";
import { RECIPES, cut, grey } from "./crop.js";
import { OUTPUTS, find } from "./yunet.js";

ort.env.wasm.numThreads = 1; // more would need headers that plain web servers do not send
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.logLevel = "error";

const sessions = new Map();

// A function from { data, dims } to the outputs of the network in `file` as arrays by name.
async function network(file, fetches) {
  if (!sessions.has(file)) {
    const address = new URL(file, import.meta.url).href;
    sessions.set(file, ort.InferenceSession.create(address, { executionProviders: ["wasm"] }));
  }
  const session = await sessions.get(file);
  return async ({ data, dims }) => {
    const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", data, dims) };
    const outputs = await session.run(feeds, fetches);
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]));
  };
}

const rounded = (v) => Math.round(v * 10) / 10;

async function read({ picture, model, detector, crops }) {
  const { spec } = model;
  const found = await find(picture, await network(detector, OUTPUTS));
  const cuts = found.map(({ box }) => cut(picture, box, spec.input.size, RECIPES[spec.input.crop]));
  const told = await classify(cuts, spec, await network(model.file));
  return found.map(({ box, score }, i) => ({
    face_id: i,
    box: box.map(rounded),
    face_score: Math.round(score * 1e4) / 1e4,
    ...told[i],
    ...(crops && { crop: spec.input.channels === 1 ? grey(cuts[i]) : cuts[i] }),
  }));
}

const TASKS = { read, classify: async ({ crops, model }) => classify(crops, model.spec, await network(model.file)) };

self.onmessage = async ({ data: { id, task, ask } }) => {
  const begun = performance.now();
  try {
    const told = await TASKS[task](ask);
    self.postMessage({ id, told, ms: performance.now() - begun });
  } catch (error) {
    self.postMessage({ id, failed: String(error?.message ?? error) });
  }
};
