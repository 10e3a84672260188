"use strict";
// Strokes are lists of [x, y] in the drawing area's own units; after each stroke all of them are sent, and the last answer
// that was asked for is shown.
const paper = document.getElementById("paper");
const pen = paper.getContext("2d");
const SIDE = paper.width, STEP = 6, LARGE_STEP = 24;
let strokes = [], stroke = null, cursor = [SIDE / 2, SIDE / 2], asked = 0;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function draw() {
  pen.clearRect(0, 0, SIDE, SIDE);
  pen.lineWidth = 5;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = pen.fillStyle = colour("--ink");
  for (const points of stroke ? [...strokes, stroke] : strokes) {
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (const point of points) pen.lineTo(...point);
    pen.stroke();
  }
  if (document.activeElement === paper && paper.matches(":focus-visible")) {
    pen.beginPath();
    pen.arc(...cursor, stroke ? 7 : 5, 0, 7);
    stroke ? pen.fill() : pen.stroke();
  }
}

function place(event) {
  const box = paper.getBoundingClientRect();
  const x = (event.clientX - box.left - paper.clientLeft) * SIDE / paper.clientWidth;
  const y = (event.clientY - box.top - paper.clientTop) * SIDE / paper.clientHeight;
  return [Math.round(10 * x) / 10, Math.round(10 * y) / 10];
}

function end() {
  if (!stroke) return;
  strokes.push(stroke);
  stroke = null;
  draw();
  ask();
}

function undo() {
  if (stroke) stroke = null; else strokes.pop();
  draw();
  ask();
}

function clear() {
  strokes = [];
  stroke = null;
  draw();
  ask();
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
document.getElementById("undo").addEventListener("click", undo);
document.getElementById("clear").addEventListener("click", clear);

async function ask() {
  const mine = ++asked, began = performance.now();
  let answer;
  try {
    const response = await fetch("read", {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({strokes})});
    answer = await response.json();
  } catch (error) {
    answer = {error: "The server did not answer. Is it still running?"};
  }
  if (mine === asked) show(answer, performance.now() - began);
}

function show(answer, milliseconds) {
  document.getElementById("error").textContent = answer.error ?? "";
  if (answer.error) return;
  const best = answer.answers[0];
  document.getElementById("best").textContent =
    best ? `${best[0]}, ${(100 * best[1]).toFixed(0)} %` : "Nothing drawn yet.";
  document.getElementById("time").textContent = best
    ? `${answer.milliseconds.toFixed(1)} ms to read, ${milliseconds.toFixed(0)} ms with transfer` : "";
  document.getElementById("answers").replaceChildren(...answer.answers.map(([label, share]) => {
    const row = document.createElement("tr"), name = document.createElement("th"), bar = document.createElement("td");
    const meter = document.createElement("meter");
    name.scope = "row";
    name.textContent = label;
    meter.value = share;
    meter.setAttribute("aria-hidden", "true");
    bar.append(meter, `${(100 * share).toFixed(1)} %`);
    row.append(name, bar);
    return row;
  }));
  document.getElementById("layers").replaceChildren(...answer.layers.map(picture));
}

function picture({name, size, planes, sites}) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  canvas.width = canvas.height = size;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${name}: ${sites.length / 2} of ${size * size} sites are active`);
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--site");
  for (let i = 0; i < sites.length; i += 2) context.fillRect(sites[i], sites[i + 1], 1, 1);
  caption.textContent = `${name} ${size}×${size}, ${sites.length / 2} sites, ${planes} planes`;
  figure.append(canvas, caption);
  return figure;
}

draw();
