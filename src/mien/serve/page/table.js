// What was read so far, and the CSV of it: the columns are those of `mien video --output x.csv`.

import { EIGHT } from "./expressions.js";

export const COLUMNS = [
  "source", "frame", "t_sec", "face_id", "status", "box_x0", "box_y0", "box_x1", "box_y1",
  "face_score", ...EIGHT, "expression", "probability", "valence", "arousal", "model", "schema",
  "uncertain",
  "smooth_expression", "smooth_probability", "smooth_valence", "smooth_arousal",
  ...EIGHT.map((label) => `smooth_${label}`), "smooth_uncertain", "error",
];
const SCHEMA = 1;
export const MOST = 100_000; // rows that are kept: about an hour of one face at 30 frames a second

export class Table {
  constructor() {
    this.clear();
  }

  clear() {
    this.rows = [];
    this.lost = 0;
  }

  // Take in an answer about `source`; `moment` has `frame` and `t` of a moving picture, else none.
  add(source, model, answer, moment = null) {
    const blank = {
      source, model, schema: SCHEMA, frame: moment ? moment.frame : 0, t_sec: moment?.t.toFixed(4),
    };
    if (!answer.faces.length) this.rows.push({ ...blank, status: "no_face" });
    for (const face of answer.faces) this.rows.push({ ...blank, status: "ok", ...cells(face) });
    if (this.rows.length > MOST + 1000) {
      this.lost += this.rows.length - MOST;
      this.rows.splice(0, this.rows.length - MOST);
    }
  }

  csv() {
    const lines = this.rows.map((row) => COLUMNS.map((name) => quoted(row[name])).join(","));
    return [COLUMNS.join(","), ...lines, ""].join("\r\n");
  }
}

function cells(face) {
  const [box_x0, box_y0, box_x1, box_y1] = face.box;
  const out = { face_id: face.face_id, box_x0, box_y0, box_x1, box_y1, face_score: face.face_score };
  fill(out, "", face);
  if (face.smoothed) fill(out, "smooth_", face.smoothed);
  return out;
}

function fill(out, prefix, read) {
  for (const name of ["expression", "probability", "valence", "arousal"]) {
    out[prefix + name] = read[name];
  }
  out[`${prefix}uncertain`] = read.uncertain ? 1 : 0;
  for (const label of EIGHT) out[prefix + label] = read.probabilities[label];
}

// A cell that a spreadsheet would take for a formula gets a quote before it.
function quoted(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
