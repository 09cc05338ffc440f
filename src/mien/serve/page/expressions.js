// The expressions: their order, colours and textures are those of the Python package.

export const COLOURS = {
  neutral: "#7f7f7f",
  happiness: "#e69f00",
  surprise: "#f0e442",
  sadness: "#0072b2",
  anger: "#d55e00",
  disgust: "#009e73",
  fear: "#cc79a7",
  contempt: "#56b4e9",
};
export { EIGHT } from "./labels.js";

// Dark pixels of each expression's tile of 8 x 8, so that no colour stands alone.
export const TEXTURES = {
  neutral: [],
  happiness: ["........", ".##.....", ".##.....", "........", "........", ".....##.", ".....##."],
  surprise: Array(8).fill("...#...#"),
  sadness: ["........", "########", "........", "........", "........", "########"],
  anger: ["..#.....", "..#.....", "#####...", "..#.....", "..#....."],
  disgust: ["########", ...Array(7).fill("#.......")],
  fear: [...Array(4).fill("####...."), ...Array(4).fill("....####")],
  contempt: ["........", ".####...", ".#..#...", ".#..#...", ".####..."],
};
const SHADE = 0.22;
const TILE = 8;

// One colour and one dash per person; the number is always written, too.
const PEOPLE = ["#4cc3ff", "#ff8fa3", "#7bd88f", "#ffd166", "#c3a6ff", "#ff9f5a", "#8be0d4", "#e2e2e2"];
const DASHES = [[], [10, 4], [3, 3], [12, 3, 3, 3]];

export const personColour = (id) => PEOPLE[id % PEOPLE.length];
export const personDash = (id) => DASHES[Math.floor(id / PEOPLE.length) % DASHES.length];

const tiles = new Map();

// The tile of an expression as a canvas of 8 x 8.
function tile(label) {
  if (!tiles.has(label)) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = TILE;
    const context = canvas.getContext("2d");
    context.fillStyle = COLOURS[label];
    context.fillRect(0, 0, TILE, TILE);
    context.fillStyle = `rgba(0, 0, 0, ${SHADE})`;
    TEXTURES[label].forEach((row, y) => {
      for (let x = 0; x < TILE; x++) if (row[x] === "#") context.fillRect(x, y, 1, 1);
    });
    tiles.set(label, canvas);
  }
  return tiles.get(label);
}

// For `context.fillStyle`.
export const pattern = (context, label) => context.createPattern(tile(label), "repeat");

// For CSS `background`.
export const background = (label) => `url("${tile(label).toDataURL()}")`;

// What is shown of a face: the smoothed reading where there is one.
export const reading = (face) => face.smoothed ?? face;

export const percent = (part) => `${Math.round(100 * part)} %`;

// An uncertain expression has a question mark behind it.
export const caption = (face) => {
  const { expression, probability, uncertain } = reading(face);
  return `${expression}${uncertain ? "?" : ""} ${percent(probability)}`;
};

export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
};
