"use strict";
// Strokes are lists of [x, y] in the drawing area's own units. After each stroke all of them are sent. One request is under
// way at a time; when its answer comes, the newest strokes are sent, and only an answer to the newest strokes is shown.
const paper = document.getElementById("paper");
const pen = paper.getContext("2d");
const SIDE = paper.width, STEP = 6, LARGE_STEP = 24, PATIENCE = 150, MOST_BYTES = 2 ** 20;
let strokes = [], stroke = null, cursor = [SIDE / 2, SIDE / 2], mode = "given", shown = [];
let asking = false, newer = false;

function get(id) {
  return document.getElementById(id);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function draw() {
  pen.clearRect(0, 0, SIDE, SIDE);
  pen.lineWidth = 5;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = pen.fillStyle = colour("--ink");
  drawStrokes(pen, stroke ? [...strokes, stroke] : strokes);
  if (document.activeElement === paper && paper.matches(":focus-visible")) {
    pen.beginPath();
    pen.arc(...cursor, stroke ? 7 : 5, 0, 7);
    stroke ? pen.fill() : pen.stroke();
  }
}

function drawStrokes(context, several) {
  for (const points of several) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points) context.lineTo(...point);
    context.stroke();
  }
}

function place(event) {
  const box = paper.getBoundingClientRect();
  const x = (event.clientX - box.left - paper.clientLeft) * SIDE / paper.clientWidth;
  const y = (event.clientY - box.top - paper.clientTop) * SIDE / paper.clientHeight;
  return [Math.round(10 * x) / 10, Math.round(10 * y) / 10];
}

function changed() {
  draw();
  if (mode === "teach") return;
  if (strokes.length) ask(); else show({answers: [], layers: []});
}

function end() {
  if (!stroke) return;
  strokes.push(stroke);
  stroke = null;
  changed();
}

function undo() {
  if (stroke) stroke = null; else strokes.pop();
  changed();
}

function clear() {
  strokes = [];
  stroke = null;
  changed();
}

paper.addEventListener("pointerdown", event => {
  if (event.button !== 0 || stroke) return;
  paper.setPointerCapture(event.pointerId);
  stroke = [place(event)];
  draw();
});
paper.addEventListener("pointermove", event => {
  if (!stroke || !paper.hasPointerCapture(event.pointerId)) return;
  for (const each of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) stroke.push(place(each));
  draw();
});
paper.addEventListener("pointerup", end);
paper.addEventListener("pointercancel", end);
paper.addEventListener("focus", draw);
paper.addEventListener("blur", () => { end(); draw(); });
paper.addEventListener("keydown", event => {
  const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  if (event.key in moves) {
    const step = event.shiftKey ? LARGE_STEP : STEP;
    cursor = cursor.map((at, axis) => Math.min(SIDE, Math.max(0, at + step * moves[event.key][axis])));
    if (stroke) stroke.push(cursor);
  } else if (event.key === " ") {
    if (stroke) end(); else stroke = [cursor];
  } else if (event.key === "Backspace") {
    undo();
  } else if (event.key === "Escape") {
    clear();
  } else {
    return;
  }
  event.preventDefault();
  draw();
});
get("undo").addEventListener("click", undo);
get("clear").addEventListener("click", clear);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  draw();
  showLayers(shown);
  document.dispatchEvent(new Event("colours"));
});

async function post(path, content) {
  const body = JSON.stringify(content);
  if (body.length > MOST_BYTES) return {error: "Too many points for one request: draw fewer strokes."};
  try {
    const response = await fetch(path, {method: "POST", headers: {"Content-Type": "application/json"}, body});
    return await response.json();
  } catch (error) {
    return {error: "The server did not answer. Is it still running?"};
  }
}

async function ask() {
  newer = true;
  document.body.classList.add("old");                     // what is shown belongs to fewer strokes
  if (asking) return;
  asking = true;
  const waiting = setTimeout(() => document.body.classList.add("waiting"), PATIENCE);
  while (newer) {
    newer = false;
    const began = performance.now(), answer = await post("read", {strokes, model: mode});
    if (!newer && strokes.length && mode !== "teach") show(answer, performance.now() - began);
  }
  clearTimeout(waiting);
  document.body.classList.remove("waiting");
  asking = false;
}

function show(answer, milliseconds) {
  const best = answer.answers?.[0];
  newer = false;
  document.body.classList.remove("old");
  get("error").textContent = answer.error ?? "";
  get("sign").textContent = best ? (answer.sure ? best[0] : "?") : "";
  get("sign").classList.toggle("long", (best?.[0].length ?? 0) > 2 && answer.sure);
  get("share").textContent = answer.error ? "No answer." : !best ? "Nothing drawn yet."
    : answer.sure ? percent(best[1]) : "not sure";
  get("others").replaceChildren(...(answer.answers ?? []).slice(answer.sure ? 1 : 0).map(([label, share]) => {
    const item = document.createElement("li"), name = document.createElement("b");
    name.textContent = label;
    item.append(name, ` ${percent(share)}`);
    return item;
  }));
  get("time").textContent = best
    ? `${answer.milliseconds.toFixed(1)} ms to read, ${milliseconds.toFixed(0)} ms with transfer` : "";
  showLayers(answer.layers ?? []);
}

function percent(share) {
  return share > 0.995 && share < 1 ? "over 99 %" : share < 0.005 ? "under 1 %" : `${(100 * share).toFixed(0)} %`;
}

// matplotlib's viridis at ten places, as in the package's own pictures
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121],
                 [109, 205, 89], [180, 222, 44], [253, 231, 37]];

function viridis(level) {
  const at = level / 255 * (VIRIDIS.length - 1), low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((value, i) => Math.round(value + (at - low) * (VIRIDIS[low + 1][i] - value)));
}

function showLayers(layers) {
  shown = layers;
  get("inside").hidden = !layers.length;
  get("layers").replaceChildren(...layers.map(picture));
}

function picture({name, size, planes, sites, activity}) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  canvas.width = canvas.height = size;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${name}: ${sites.length / 2} of ${size * size} sites are active`);
  const context = canvas.getContext("2d"), image = context.createImageData(size, size);
  activity.forEach((level, i) => image.data.set([...viridis(level), 255], 4 * (sites[2 * i] + size * sites[2 * i + 1])));
  context.putImageData(image, 0, 0);
  caption.textContent = `${name} ${size}×${size}, ${sites.length / 2} sites, ${planes} planes`;
  figure.append(canvas, caption);
  return figure;
}

draw();
