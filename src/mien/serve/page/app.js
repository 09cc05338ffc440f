// The page: what is pressed, dropped or pasted, what state things are in, and who is told of it.

import { connect } from "./backend.js";
import { Cards } from "./cards.js";
import { EIGHT, background, caption } from "./expressions.js";
import { Refused, camera, film } from "./source.js";
import { Stage, told } from "./stage.js";
import { Table, download } from "./table.js";
import { Timeline } from "./timeline.js";

const by = (id) => document.getElementById(id);
const stage = new Stage(by("picture"));
const cards = new Cards(by("cards"));
const timeline = new Timeline(by("timeline"), by("back"), by("stretch"));
const table = new Table();
const REDRAW = 100; // milliseconds between two drawings of the timeline
const SPEAK = 4000; // milliseconds between two sentences for a screen reader

let backend = null;
let agreed = false; // to the camera, for as long as the page is open
let moving = null; // { source, stream, paused, begun, frame, base, next, shown }
let still = null; // { file, picture, answer }: the photo
let shown = null; // the answer on the stage
let request = 0; // the number of what was asked for last: older answers are not shown

const model = () => backend.models.find(({ name }) => name === by("model").value);

function say(kind, text) {
  const node = by("state");
  node.dataset.kind = kind;
  if (node.textContent !== text) node.textContent = text;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: of("ink"), faint: of("faint"), edge: of("edge"), lane: of("lane") };
}

let spoken = 0;
function speak(answer) {
  const now = performance.now();
  const text = told(answer).replace("The picture that was read: ", "");
  const key = answer.faces.map((face) => `${face.face_id} ${caption(face).split(" ")[0]}`).join();
  if (by("spoken").dataset.key === key || now - spoken < SPEAK) return;
  spoken = now;
  by("spoken").dataset.key = key;
  by("spoken").textContent = text;
}

function show(picture, answer, t) {
  shown = answer;
  by("picture").hidden = false;
  by("stage").classList.add("full");
  stage.show(picture, answer);
  const options = { affect: model().has_affect, crops: by("crops").checked, colours: colours() };
  cards.update(answer.faces, t, options);
  by("nobody").hidden = cards.cards.size > 0;
  by("nobody").textContent = "No face is seen.";
  for (const id of ["snapshot", "csv"]) by(id).disabled = false;
  speak(answer);
}

function clear() {
  table.clear();
  timeline.clear();
  timeline.draw(colours());
  cards.clear();
  by("nobody").hidden = false;
  by("nobody").textContent = "Nobody has been seen yet.";
  by("rate").textContent = "";
  delete by("spoken").dataset.key;
}

function buttons() {
  const on = moving !== null;
  by("pause").disabled = by("stop").disabled = !on;
  by("pause").textContent = !on || !moving.paused ? "Pause" : moving.over ? "Play again" : "Go on";
  by("camera").textContent = on && moving.source.live ? "Camera is on" : "Start camera";
  by("camera").disabled = backend === null || (on && moving.source.live);
  by("stage").classList.toggle("moving", on);
  for (const id of ["plot", "look"]) by(id).hidden = still !== null;
  by("time-title").firstChild.data = still ? "Expressions " : "Timeline ";
  by("stretch").hidden = still !== null;
}

// Photos.

async function photo(file) {
  stop();
  const mine = ++request;
  clear();
  say("", `Reading ${file.name || "the photo"} …`);
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    say("trouble", `${file.name || "This"} is no picture that this browser can show.`);
    return;
  }
  still = { file, picture };
  buttons();
  await read(mine);
}

async function read(mine) {
  const { file, picture } = still;
  let answer;
  try {
    answer = await backend.analyze(file, { model: model().name });
  } catch (error) {
    if (mine === request) say("trouble", error.message);
    return;
  }
  if (mine !== request) return;
  clear();
  still.answer = answer;
  table.add(file.name || "pasted", model().name, answer);
  show(picture, answer, 0);
  const count = answer.faces.length;
  const faces = count === 1 ? "1 face" : `${count} faces`;
  say("", count ? `${file.name || "The photo"}: ${faces}.` : "No face was found in this picture.");
  by("rate").textContent = `${answer.ms.toFixed(0)} ms`;
}

// Moving pictures.

async function start(opening) {
  stop();
  still = null;
  buttons();
  const mine = ++request;
  clear();
  say("", "Starting …");
  let source;
  try {
    source = await opening(by("film"));
  } catch (error) {
    if (mine === request) say("trouble", error instanceof Refused ? error.message : String(error));
    return;
  }
  if (mine !== request) {
    source.close();
    return;
  }
  moving = { source, paused: false, begun: performance.now(), frame: 0, next: 0, drawn: 0, times: [] };
  source.lost = () => {
    stop();
    say("trouble", "The camera is gone.");
  };
  source.finished = () => {
    moving.over = true;
    hold(true);
    say("", "The video has ended.");
  };
  openStream();
  source.run(tick);
  buttons();
}

function openStream() {
  const mine = moving;
  mine.stream?.close();
  mine.base = mine.next;
  mine.stream = backend.stream({ model: model().name, crops: () => by("crops").checked }, {
    answer: (frame, answer) => mine === moving && arrived(frame, renumbered(answer)),
    drop: (frame) => mine.source.reuse(frame.canvas),
    state: (kind, text) => mine === moving && link(kind, text),
  });
}

function link(kind, text) {
  if (kind === "live") {
    moving.base = moving.next;
    say("", "Connected. Waiting for the first answer …");
  } else {
    say("trouble", text);
  }
}

// A new stream counts people from 0 again; here nobody gets the number of somebody else.
function renumbered(answer) {
  const faces = answer.faces.map((face) => ({ ...face, face_id: face.face_id + moving.base }));
  moving.next = Math.max(moving.next, ...faces.map((face) => face.face_id + 1));
  return { ...answer, faces };
}

function tick() {
  if (!moving || moving.paused || !moving.stream.ready) return;
  const canvas = moving.source.capture();
  if (canvas) moving.stream.send({ canvas, t: (performance.now() - moving.begun) / 1000 });
}

function arrived(frame, answer) {
  const { source } = moving;
  if (moving.shown) source.reuse(moving.shown);
  moving.shown = frame.canvas;
  table.add(source.name, model().name, answer, { frame: moving.frame++, t: frame.t });
  timeline.add(answer.faces, frame.t);
  show(frame.canvas, answer, frame.t);
  const now = performance.now();
  moving.times = [...moving.times.filter((t) => now - t < 2000), now];
  if (now - moving.drawn < REDRAW && !moving.paused) return;
  moving.drawn = now;
  timeline.draw(colours());
  const rate = (1000 * (moving.times.length - 1)) / (now - moving.times[0] || 1000);
  by("rate").textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames/s · ${answer.ms.toFixed(0)} ms`;
  if (moving.paused) return;
  say("", answer.faces.length ? running(source) : `${running(source)} No face is seen.`);
}

const running = (source) => (source.live ? "The camera is on." : `${source.name} is playing.`);

function hold(on) {
  if (!on) moving.over = false;
  moving.paused = on;
  moving.source.pause(on);
  say("", on ? `Paused.${moving.source.live ? " The camera is still on." : ""}` : "Going on.");
  buttons();
}

function stop() {
  request += 1;
  if (!moving) return;
  moving.stream.close();
  moving.source.close();
  moving = null;
  timeline.draw(colours());
  say("", "Stopped.");
  buttons();
}

// What people do.

function take(files) {
  const file = [...(files ?? [])].find(({ type }) => /^(image|video)\//.test(type));
  if (!backend) return;
  if (!file) say("trouble", "That is neither a photo nor a video.");
  else if (file.type.startsWith("video/")) start((video) => film(video, file));
  else photo(file);
}

function listen() {
  by("camera").onclick = () => (agreed ? start(camera) : by("consent").showModal());
  by("decline").onclick = () => by("consent").close();
  by("agree").onclick = () => {
    agreed = true;
    by("consent").close();
    start(camera);
  };
  by("open").onclick = () => by("file").click();
  by("file").onchange = () => {
    take(by("file").files);
    by("file").value = "";
  };
  by("pause").onclick = () => hold(!moving.paused);
  by("stop").onclick = stop;
  by("model").onchange = another;
  by("crops").onchange = () => still && shown && show(still.picture, shown, 0);
  by("snapshot").onclick = () =>
    by("picture").toBlob((blob) => download("mien.png", blob), "image/png");
  by("csv").onclick = () => download("mien.csv", new Blob([table.csv()], { type: "text/csv" }));
  document.addEventListener("paste", (event) => event.clipboardData.files.length && take(event.clipboardData.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    by("stage").classList.add("over");
  });
  document.addEventListener("dragleave", () => by("stage").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    by("stage").classList.remove("over");
    take(event.dataTransfer.files);
  });
  window.addEventListener("resize", () => timeline.draw(colours()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => timeline.draw(colours()));
}

function another() {
  aboutModel();
  if (moving) openStream();
  else if (still) read(++request);
}

function aboutModel() {
  by("affect").hidden = model().has_affect;
  by("affect").textContent = model().has_affect ? "" : `The model ${model().name} tells no valence and arousal, so no circle is drawn.`;
}

async function begin() {
  listen();
  by("legend").append(...EIGHT.map((label) => {
    const item = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.backgroundImage = background(label);
    item.append(swatch, label);
    return item;
  }));
  timeline.draw(colours());
  say("", "Starting …");
  try {
    backend = await connect({ state: (kind, text) => say(kind === "gone" ? "trouble" : "", text) });
  } catch (error) {
    say("trouble", error.message);
    return;
  }
  by("where").textContent = by("consent-where").textContent = backend.where;
  by("model").append(...backend.models.map(({ name }) => new Option(name, name, false, name === backend.first)));
  for (const id of ["open", "model"]) by(id).disabled = false;
  buttons();
  aboutModel();
  say("", "Ready.");
}

begin();
