// Moving pictures of a camera or a video file, frame by frame.

const LONGEST = 640; // pixels of the longer side of the frames that are read

export class Refused extends Error {}

const WHY = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings for this page, then start it again.",
  NotFoundError: "No camera was found. Plug one in, or open a photo or a video.",
  NotReadableError: "The camera cannot be read; another program may be using it.",
  OverconstrainedError: "No camera fits. Plug in another one, or open a photo or a video.",
};

// Ask for the camera and return a source of its pictures.
export async function camera(video) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Refused("Browsers give a camera to pages on https or localhost only.");
  }
  let stream;
  try {
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  } catch (error) {
    throw new Refused(WHY[error.name] ?? `The camera cannot be started (${error.name}).`);
  }
  video.srcObject = stream;
  const source = new Source(video, "camera", () => stream.getTracks().forEach((track) => track.stop()));
  stream.getVideoTracks()[0].addEventListener("ended", () => source.lost());
  await started(video, source);
  return source;
}

// A source of the pictures of a video file.
export async function film(video, file) {
  const address = URL.createObjectURL(file);
  video.srcObject = null;
  video.src = address;
  const source = new Source(video, file.name, () => URL.revokeObjectURL(address));
  video.onended = () => source.finished();
  await started(video, source);
  return source;
}

async function started(video, source) {
  try {
    await video.play();
  } catch (error) {
    source.close();
    if (error.name === "AbortError") throw new Refused("It was stopped before it began.");
    throw new Refused(`This browser cannot play ${source.name}. \`mien video\` on the command line may.`);
  }
}

class Source {
  constructor(video, name, release) {
    Object.assign(this, { video, name, release });
    this.live = name === "camera" && video.srcObject !== null;
    this.free = [];
    this.finished = this.lost = () => {};
  }

  // Call `tick` for each new picture until the source is closed.
  run(tick) {
    const again = () => {
      if (this.closed) return;
      tick();
      next();
    };
    const next = () =>
      this.video.requestVideoFrameCallback
        ? this.video.requestVideoFrameCallback(again)
        : requestAnimationFrame(again);
    next();
  }

  // The picture of now, drawn on a canvas of its own, or null before the first.
  capture() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth) return null;
    const factor = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
    const width = Math.round(videoWidth * factor), height = Math.round(videoHeight * factor);
    const canvas = this.free.pop() ?? document.createElement("canvas");
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(this.video, 0, 0, width, height);
    return canvas;
  }

  // Give a canvas back that is not looked at any more.
  reuse(canvas) {
    if (this.free.length < 4) this.free.push(canvas);
  }

  pause(on) {
    if (on) this.video.pause();
    else this.video.play().catch(() => {});
  }

  close() {
    this.closed = true;
    this.video.onended = null;
    this.video.pause();
    this.release();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
  }
}
