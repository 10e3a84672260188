"use strict";
// The user's own signs: drawings are kept here, the server trains on them, and the paper is read by the result.
const ENOUGH = 5, SPACING = 3;
const signs = new Map();                                  // name -> list of drawings, each a list of strokes
let given = {what: "a digit", labels: []}, own = null, learning = false;

function setMode(value) {
  if (mode !== value && (mode === "teach" || value === "teach")) strokes = [];     // a digit is no drawing of a sign
  mode = value;
  document.body.classList.toggle("teach", value === "teach");
  for (const choice of document.getElementsByName("mode")) choice.checked = choice.value === value;
  get("lesson").hidden = get("keep").hidden = value !== "teach";
  const labels = value === "own" ? own.labels : given.labels;
  const what = value === "own" || !given.what ? `one of ${listed(labels)}` : given.what;
  get("task").textContent = value === "teach" ? "Draw a sign of your own" : `Draw ${what}`;
  document.title = `${get("task").textContent}, and see what the network reads`;
  show({answers: [], layers: []});
  changed();
}

function listed(labels) {
  return labels.length > 12 ? `${labels.length} signs` : labels.join(", ");
}

// Points closer than SPACING to the last one are left out, so that many drawings fit into a request.
function thinned(points) {
  const found = [points[0]];
  for (const [x, y] of points) {
    const last = found.at(-1);
    if (Math.hypot(x - last[0], y - last[1]) >= SPACING) found.push([x, y]);
  }
  return found;
}

function showSigns() {
  get("signs").replaceChildren(...[...signs].map(([name, drawings]) => {
    const item = document.createElement("li"), label = document.createElement("b"), drop = document.createElement("button");
    label.textContent = name;
    drop.type = "button";
    drop.textContent = "Remove the last";
    drop.setAttribute("aria-label", `Remove the last drawing of ${name}`);
    drop.addEventListener("click", () => {
      drawings.pop();
      if (!drawings.length) signs.delete(name);
      showSigns();
    });
    item.append(label, ` ${drawings.length} of ${ENOUGH} `, ...drawings.map(thumbnail), drop);
    return item;
  }));
  const missing = [...signs].filter(([, drawings]) => drawings.length < ENOUGH).map(([name]) => name);
  get("learn").disabled = learning || signs.size < 2 || missing.length > 0;
  get("progress").textContent = learning ? "" : !signs.size ? "" : missing.length
    ? `${missing.join(", ")}: more drawings are needed.` : signs.size < 2 ? "Draw another sign." : "Ready to learn.";
}

function thumbnail(drawing) {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = canvas.height = 36;
  canvas.setAttribute("aria-hidden", "true");
  context.scale(36 / SIDE, 36 / SIDE);
  context.lineWidth = 20;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = colour("--ink");
  drawStrokes(context, drawing);
  return canvas;
}

get("keep").addEventListener("submit", event => {
  event.preventDefault();
  end();
  const name = get("name").value.trim();
  if (!name || !strokes.length) {
    get("progress").textContent = name ? "Draw the sign on the paper first." : "Name the sign first.";
    return;
  }
  signs.set(name, [...(signs.get(name) ?? []), strokes.map(thinned)]);
  clear();
  showSigns();
});

get("learn").addEventListener("click", async () => {
  learning = true;
  showSigns();
  get("progress").textContent = "Learning …";
  document.body.classList.add("waiting");
  const answer = await post("teach", {signs: [...signs].map(([label, drawings]) => ({label, drawings}))});
  document.body.classList.remove("waiting");
  learning = false;
  showSigns();
  get("error").textContent = answer.error ?? "";
  get("progress").textContent = answer.error ? "" :
    `Learned ${answer.labels.length} signs from ${answer.drawings} drawings in ${answer.seconds.toFixed(1)} s. Draw one of them.`;
  if (answer.error) return;
  setOwn({what: null, labels: answer.labels});
  setMode("own");
  paper.scrollIntoView({block: "nearest"});
});

function setOwn(value) {
  own = value;
  document.querySelector("input[value=own]").disabled = !own;
  get("saved").hidden = !own;
}

for (const choice of document.getElementsByName("mode")) choice.addEventListener("change", () => setMode(choice.value));
document.addEventListener("colours", showSigns);

fetch("about").then(response => response.json()).then(about => {
  given = about.model;
  get("given").textContent = `is read as ${given.what ?? `one of ${listed(given.labels)}`}`;
  setOwn(about.own);
  if (mode === "given" && !strokes.length && !stroke) setMode("given");
}).catch(() => {});
