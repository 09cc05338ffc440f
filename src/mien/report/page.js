"use strict";
// Redraws the plots over time at the width of the window and for the stretch that is looked at.
// Everything on the page can be read without this: the plots are there, and so are their tables.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { start, end, labels, people, from, to } = data;
  const { left: LEFT, right: RIGHT, lane: LANE, stack: STACK, row: ROW, steps: STEPS } = data.layout;
  const shortest = Math.min(end - start, Math.max(0.2, 4 * (to[0] - from[0])));
  const figures = [...document.querySelectorAll("figure.time")];
  const panel = document.getElementById("moment");
  const view = { a: start, b: end };
  let at = null; // the column under the cursor
  for (const person of people) {
    person.row = new Map(person.c.map((column, i) => [column, i]));
  }

  const make = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const element = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const clock = (t, decimals) => {
    const units = Math.round(Math.abs(t) * 10 ** decimals);
    const seconds = Math.floor(units / 10 ** decimals);
    const two = (n) => String(n).padStart(2, "0");
    const h = Math.floor(seconds / 3600), m = Math.floor(seconds / 60) % 60;
    const tail = decimals ? "." + String(units % 10 ** decimals).padStart(decimals, "0") : "";
    return (t < 0 && units ? "-" : "") + (h ? h + ":" : "") + two(m) + ":" + two(seconds % 60) + tail;
  };
  const field = (figure) => figure.querySelector("svg.field");
  const wide = (figure) => Math.max(120, figure.clientWidth - LEFT - RIGHT);
  const toX = (t, w) => (w * (t - view.a)) / (view.b - view.a);
  const fill = (label, bridged) => `url(#${bridged ? "b" : "f"}-${labels[label]})`;

  // Stretches of neighbouring rows of a person that `same` keeps together.
  const stretches = (person, same) => {
    const out = [];
    for (let i = 0; i < person.c.length; i++) {
      const last = out[out.length - 1];
      const touches = last && person.c[i] === person.c[i - 1] + 1 &&
        from[person.c[i]] <= to[person.c[i - 1]] + 1e-3;
      if (touches && same(i - 1, i)) last[1] = i;
      else out.push([i, i]);
    }
    return out.filter(([i, j]) => to[person.c[j]] >= view.a && from[person.c[i]] <= view.b);
  };
  const bands = (person, key, w, draw) => {
    const same = (i, j) => person[key][i] === person[key][j] && person.b[i] === person.b[j];
    for (const [i, j] of stretches(person, same)) {
      const x = toX(from[person.c[i]], w);
      draw(x, toX(to[person.c[j]], w) - x, person[key][i], person.b[i]);
    }
  };
  const gaps = (person, w, height, nodes) => {
    let last = start;
    const parts = stretches(person, () => true).map(([i, j]) => [from[person.c[i]], to[person.c[j]]]);
    // A gap that began before the view: nothing of the person lies between.
    const before = person.c.filter((c) => to[c] < view.a);
    if (before.length) last = to[before[before.length - 1]];
    const after = person.c.find((c) => from[c] > view.b);
    for (const [a, b] of [...parts, [after === undefined ? end : from[after], 0]]) {
      if (a > last + 1e-3) {
        const x = Math.max(-5, toX(last, w)), right = Math.min(w + 5, toX(a, w));
        nodes.push(make("rect", { class: "gap", x, y: 0, width: Math.max(0, right - x), height }));
        if (right - x > 50) {
          const middle = { class: "gap", x: (x + right) / 2, y: height / 2 + 4 };
          nodes.push(make("text", { ...middle, "text-anchor": "middle", "font-size": 10 }, "not seen"));
        }
      }
      last = b;
    }
  };
  const stack = (person, w, nodes) => {
    for (const [i, j] of stretches(person, () => true)) {
      const xs = [toX(from[person.c[i]], w)];
      const rows = [i];
      for (let k = i; k <= j; k++) {
        xs.push(toX((from[person.c[k]] + to[person.c[k]]) / 2, w));
        rows.push(k);
      }
      xs.push(toX(to[person.c[j]], w));
      rows.push(j);
      const sums = rows.map((k) => person.p.reduce((sum, p) => sum + p[k], 0) || 1);
      areas(xs, person.p.map((p) => rows.map((k, n) => p[k] / sums[n])), STACK, nodes);
    }
  };
  const areas = (xs, parts, height, nodes) => {
    let lower = xs.map(() => 0);
    parts.forEach((part, label) => {
      const upper = lower.map((y, k) => y + part[k]);
      const point = (y, k) => `${xs[k].toFixed(1)} ${(height * (1 - y)).toFixed(1)}`;
      if (Math.max(...part) > 0.002) {
        const d = "M" + [...lower.map(point), ...upper.map(point).reverse()].join("L") + "Z";
        nodes.push(make("path", { class: "area", d, fill: fill(label, 0) }));
      }
      lower = upper;
    });
  };
  const kinds = {
    timeline(person, w, nodes) {
      gaps(person, w, 8 * LANE, nodes);
      bands(person, "s", w, (x, width, label, bridged) => nodes.push(make("rect", {
        class: bridged ? "band bridged" : "band", x, width, y: label * LANE + 1, height: LANE - 3,
        fill: fill(label, bridged) })));
      if (person.r) bands(person, "r", w, (x, width, label) => nodes.push(make("rect", {
        class: "raw", x, width, y: label * LANE + LANE - 4, height: 2 })));
    },
    stacked(person, w, nodes) {
      gaps(person, w, STACK, nodes);
      stack(person, w, nodes);
      bands(person, "s", w, (x, width, label, bridged) => bridged && nodes.push(make("rect", {
        class: "bridged", x, width, y: 0, height: STACK, fill: "url(#b-neutral)" })));
    },
    presence(_, w, nodes) {
      people.forEach((person, i) => bands(person, "s", w, (x, width, label, bridged) => {
        const size = bridged ? { y: i * ROW + 5, height: 6 } : { y: i * ROW, height: ROW - 2 };
        const name = bridged ? "band bridged" : "band";
        nodes.push(make("rect", { class: name, x, width, ...size, fill: fill(label, bridged) }));
      }));
    },
    crowd(_, w, nodes) {
      const xs = from.flatMap((a, k) => [toX(a, w), toX(to[k], w)]);
      const parts = data.crowd.map((counts) => counts.flatMap((n) => [n, n]).map(
        (n) => n / 100 / data.top));
      areas(xs, parts, STACK, nodes);
    },
  };

  const ticks = (figure, svg, w, bottom) => {
    svg.querySelectorAll(":scope > .tick").forEach((node) => node.remove());
    const span = view.b - view.a, most = Math.max(2, Math.floor(w / 75));
    const step = STEPS.find((s) => span / s <= most) || 3600 * Math.ceil(span / 3600 / most);
    for (let k = Math.ceil(view.a / step - 1e-9); k * step <= view.b + 1e-9; k++) {
      const x = LEFT + toX(k * step, w);
      svg.append(make("path", { class: "tick", d: `M${x} ${bottom}V${bottom + 4}`, stroke: "#6b6b6b" }));
      svg.append(make("text", { class: "tick", x: Math.min(x, LEFT + w + RIGHT - 18), y: bottom + 17,
        "text-anchor": "middle", "font-size": 11, fill: "#6b6b6b" }, clock(k * step, step < 1 ? 1 : 0)));
    }
  };
  const draw = (figure) => {
    const svg = figure.querySelector("svg.plot"), inner = field(figure), w = wide(figure);
    const height = Number(inner.getAttribute("height")), top = Number(inner.getAttribute("y"));
    svg.setAttribute("viewBox", `0 0 ${w + LEFT + RIGHT} ${svg.dataset.height}`);
    inner.setAttribute("width", w);
    inner.querySelectorAll(":scope > :not(.lane)").forEach((node) => node.remove());
    inner.querySelectorAll(".lane").forEach((node) => node.setAttribute("width", w));
    svg.querySelectorAll(".rule, .axis").forEach((node) =>
      node.setAttribute("d", node.getAttribute("d").replace(/L[\d.]+/, `L${LEFT + w}`)));
    const nodes = [];
    kinds[figure.dataset.kind](people[Number(figure.dataset.person)], w, nodes);
    inner.append(...nodes);
    ticks(figure, svg, w, top + height);
    cursor(figure);
  };
  const cursor = (figure) => {
    const inner = field(figure);
    inner.querySelectorAll(".cursor").forEach((node) => node.remove());
    if (at === null) return;
    const x = toX((from[at] + to[at]) / 2, wide(figure));
    inner.append(make("path", { class: "cursor", d: `M${x} 0V${inner.getAttribute("height")}` }));
  };
  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; figures.forEach(draw); });
    const range = document.getElementById("range");
    range.textContent = `${clock(view.a, 1)} to ${clock(view.b, 1)}`;
  };

  const look = (a, b) => {
    const span = Math.min(end - start, Math.max(shortest, b - a));
    const middle = (a + b) / 2;
    view.a = Math.min(Math.max(start, middle - span / 2), end - span);
    view.b = view.a + span;
    redraw();
  };
  const zoom = (factor, t) => {
    const centre = t === undefined ? (at === null ? (view.a + view.b) / 2 : (from[at] + to[at]) / 2) : t;
    look(centre - (centre - view.a) * factor, centre + (view.b - centre) * factor);
  };
  const columnAt = (t) => {
    let low = 0, high = from.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (from[middle] <= t) low = middle; else high = middle - 1;
    }
    return low;
  };
  const told = (person, column) => {
    const i = person.row.get(column);
    if (i === undefined) return "not seen";
    const order = labels.map((_, k) => k).sort((a, b) => person.p[b][i] - person.p[a][i]);
    const rest = order.slice(0, 3).map((k) => `${labels[k]} ${person.p[k][i]} %`).join(", ");
    const affect = person.v && person.v[i] !== null
      ? `; valence ${person.v[i].toFixed(2)}, arousal ${person.a[i].toFixed(2)}` : "";
    return `${labels[person.s[i]]}${person.b[i] ? " (filled in, not seen)" : ""}: ${rest}${affect}`;
  };
  const move = (column) => {
    at = Math.min(from.length - 1, Math.max(0, column));
    figures.forEach(cursor);
    document.querySelectorAll(".readout[data-person]").forEach((node) => {
      const person = people[Number(node.dataset.person)];
      node.textContent = `${clock(from[at], 2)} · ${told(person, at)}`;
    });
    const group = document.getElementById("group-readout");
    if (group) {
      const here = people.filter((person) => person.row.has(at)).map((person) => person.name);
      group.textContent = `${clock(from[at], 2)} · on screen: ${here.join(", ") || "nobody"}`;
    }
    const focused = document.activeElement.closest(".person, .group");
    if (focused) document.getElementById("spoken").textContent =
      focused.querySelector(".readout").textContent;
  };
  const keepInView = () => {
    const t = (from[at] + to[at]) / 2, span = view.b - view.a;
    if (t < view.a || t > view.b) look(t - span / 2, t + span / 2);
  };
  const open = () => {
    if (at === null) return;
    panel.hidden = false;
    const list = panel.querySelector("ul");
    list.replaceChildren();
    let frame = null;
    for (const person of people) {
      const i = person.row.get(at);
      if (i === undefined) continue;
      frame = person.f[i];
      const item = element("li");
      const face = data.faces.find(
        (f) => f.id === person.id && f.start <= to[at] && f.end >= from[at]);
      if (face) {
        const source = document.querySelector(`img[data-face="${face.key}"]`);
        item.append(element("img", "", { src: source.src, alt: `${person.name} at ${clock(face.t, 1)}` }));
      }
      item.append(element("span", `${person.name}: ${told(person, at)}` +
        (face ? ` (the face is from ${clock(face.t, 1)}, frame ${face.frame})` : "")));
      list.append(item);
    }
    if (!list.children.length) list.append(element("li", "nobody was seen"));
    panel.querySelector("strong").textContent =
      clock(from[at], 2) + (frame === null ? "" : `, frame ${frame}`);
  };
  const close = () => { panel.hidden = true; };
  const whole = () => look(start, end);

  const listen = (figure) => {
    const timeAt = (event) => {
      const box = figure.getBoundingClientRect();
      const part = (event.clientX - box.left - LEFT) / wide(figure);
      return view.a + Math.min(1, Math.max(0, part)) * (view.b - view.a);
    };
    let held = null, chosen = null;
    const drop = () => { if (chosen) chosen.remove(); held = chosen = null; };
    figure.addEventListener("pointerdown", (event) => {
      if (event.button === 0) held = { x: event.clientX, t: timeAt(event) };
    });
    figure.addEventListener("pointermove", (event) => {
      const t = timeAt(event);
      move(columnAt(t));
      if (!held || Math.abs(event.clientX - held.x) < 5) return;
      if (!chosen) {
        chosen = make("rect", { class: "chosen", y: 0, height: field(figure).getAttribute("height") });
        field(figure).append(chosen);
        figure.setPointerCapture(event.pointerId);
      }
      const w = wide(figure), a = toX(Math.min(t, held.t), w);
      chosen.setAttribute("x", a);
      chosen.setAttribute("width", toX(Math.max(t, held.t), w) - a);
    });
    figure.addEventListener("pointerup", (event) => {
      const t = timeAt(event), from = held && held.t, dragged = chosen !== null;
      drop();
      if (from === null) return;
      if (dragged) look(Math.min(from, t), Math.max(from, t));
      else { move(columnAt(t)); open(); }
    });
    figure.addEventListener("pointercancel", drop);
    figure.addEventListener("dblclick", whole);
    figure.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== figure) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
    }, { passive: false });
    figure.addEventListener("focus", () => { if (at === null) move(columnAt(view.a)); });
    figure.addEventListener("keydown", (event) => {
      const by = event.shiftKey ? 10 : 1, here = at === null ? columnAt(view.a) : at;
      const keys = {
        ArrowRight: () => move(here + by), ArrowLeft: () => move(here - by),
        Home: () => move(0), End: () => move(from.length - 1),
        "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: whole,
        Escape: () => { close(); whole(); }, Enter: open, " ": open,
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
      if (/Arrow|Home|End/.test(event.key)) keepInView();
    });
  };

  document.querySelectorAll("figure.time svg.plot").forEach((svg) => {
    svg.dataset.height = svg.viewBox.baseVal.height;
  });
  figures.forEach(listen);
  document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
  document.getElementById("whole").addEventListener("click", whole);
  document.getElementById("close").addEventListener("click", close);
  document.querySelectorAll("button[data-t]").forEach((button) =>
    button.addEventListener("click", () => {
      move(columnAt(Number(button.dataset.t)));
      keepInView();
      open();
    }));
  document.querySelectorAll("[hidden].scripted").forEach((node) => { node.hidden = false; });
  window.addEventListener("resize", redraw);
  window.addEventListener("beforeprint", () => { whole(); figures.forEach(draw); });
  redraw();
})();
