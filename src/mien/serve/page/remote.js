// The backend that asks `mien serve`: photos over HTTP, live pictures over a WebSocket.

const LOCAL = /^(localhost|127(\.\d+){3}|\[::1\])$/;
const QUALITY = 0.9;
const LONGEST_WAIT = 10; // seconds between two attempts to reach the server

export class Failure extends Error {}

// Wait until the server answers, telling `on.state` of each attempt.
export async function connect(on) {
  for (let attempt = 0; ; attempt++) {
    try {
      const told = await asked("v1/models");
      return new Remote(told);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.final) throw error;
      await pause(attempt, error.message, on);
    }
  }
}

// How long to wait before the next attempt, in seconds: longer each time.
export const patience = (attempt) => Math.min(LONGEST_WAIT, 0.5 * 2 ** attempt);

async function pause(attempt, why, on) {
  const seconds = patience(attempt);
  on.state("gone", `${why} Trying again in ${Math.ceil(seconds)} s.`);
  await new Promise((done) => setTimeout(done, 1000 * seconds));
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Failure("The server does not answer.");
  }
  const told = await response.json().catch(() => null);
  if (response.ok && told) return told;
  const failure = new Failure(reason(response, told));
  failure.final = response.status === 401 || response.status === 403;
  throw failure;
}

function reason(response, told) {
  if (response.status === 401) return "The server wants its token: open this page with ?token=… in the address.";
  if (response.status === 503) return "The server is busy. Try again in a moment.";
  return told?.error?.reason ? sentence(told.error.reason) : `The server answered ${response.status}.`;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

class Remote {
  constructor({ default: first, models }) {
    this.models = models;
    this.first = first;
    this.where = LOCAL.test(location.hostname)
      ? "Everything runs on this machine; nothing leaves it, and no picture is stored."
      : `Pictures go to ${location.hostname}, which reads them and stores none.`;
  }

  async analyze(file, { model }) {
    const query = new URLSearchParams({ model, crops: "1" });
    const headers = { "Content-Type": file.type || "application/octet-stream" };
    return asked(`v1/analyze?${query}`, { method: "POST", body: file, headers });
  }

  stream(options, on) {
    return new Live(options, on);
  }
}

// A stream that opens itself again whenever it breaks. A frame has a `canvas`; at most two are
// under way at a time, one that is read and the next.
class Live {
  constructor({ model }, on) {
    const query = new URLSearchParams({ model, crops: "1" });
    this.url = new URL(`v1/stream?${query}`, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.on = on;
    this.attempt = 0;
    this.open();
  }

  open() {
    this.sent = 0;
    this.encoding = false;
    this.under_way = new Map();
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => this.on.state("live", "");
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event);
  }

  get ready() {
    return this.socket.readyState === WebSocket.OPEN && !this.encoding && this.under_way.size < 2;
  }

  send(frame) {
    const socket = this.socket;
    this.encoding = true;
    frame.canvas.toBlob((blob) => {
      this.encoding = false;
      if (!blob || socket !== this.socket || socket.readyState !== WebSocket.OPEN) {
        this.on.drop(frame);
        return;
      }
      this.under_way.set(this.sent, frame);
      this.sent += 1;
      socket.send(blob);
    }, "image/jpeg", QUALITY);
  }

  receive(answer) {
    this.attempt = 0;
    const frame = this.under_way.get(answer.frame);
    for (const [number, older] of this.under_way) {
      if (number > answer.frame) continue;
      this.under_way.delete(number);
      if (older !== frame) this.on.drop(older);
    }
    if (!frame) return;
    if (answer.error) {
      this.on.drop(frame);
      this.on.state("trouble", sentence(answer.error.reason));
    } else {
      this.on.answer(frame, answer);
    }
  }

  async closed(event) {
    for (const frame of this.under_way.values()) this.on.drop(frame);
    this.under_way.clear();
    if (this.ended) return;
    const why = await this.why(event);
    if (this.ended) return;
    if (why.final) {
      this.on.state("refused", why.message);
      return;
    }
    await pause(this.attempt++, why.message, this.on);
    if (!this.ended) this.open();
  }

  // A WebSocket does not tell why it was refused; a plain request does.
  async why(event) {
    if (event.reason) return { message: sentence(event.reason) };
    try {
      await asked("v1/models");
    } catch (error) {
      return error;
    }
    return { message: "The live connection was closed; the server may have no room for it." };
  }

  close() {
    this.ended = true;
    this.socket.close();
  }
}
