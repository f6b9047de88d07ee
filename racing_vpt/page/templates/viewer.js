"use strict";
// The page: the list of episodes, the film with its controls, jumps, marks, keys.

const episodes = data.episodes;
const buttons = [...$("episodes").querySelectorAll("button")];
const turns = { unsure: -1, wrong: -1 }; // which of the moments was shown last
let current = -1;
let rows = null;
let opening = 0;

const film = new Film($("film"), showFrame, showState);
const charts = new Charts($("charts"), (frame) => film.seek(frame), selectFrames);
const marks = new Marks(episodes, () => current >= 0 && charts.mark(marks.of(episodes[current])), goToMark);

async function open(index, frame = 0) {
  const turn = (opening += 1);
  if (index !== current) {
    const episode = episodes[index];
    const unpacked = await unpack(episode);
    if (turn !== opening) return; // another one was asked for meanwhile
    [current, rows] = [index, unpacked];
    film.open(episode, index);
    buttons.forEach((button) => button.removeAttribute("aria-current"));
    const button = buttons.find((each) => Number(each.dataset.episode) === index);
    button.setAttribute("aria-current", "true");
    button.scrollIntoView({ block: "nearest", inline: "nearest" });
    $("name").textContent = episode.name;
    $("state").textContent = `${episode.name}, ${episode.frames} frames`;
    $("scrub").max = $("mark-start").max = $("mark-stop").max = episode.frames - 1;
    $("more-label").hidden = episode.controls.length <= FEW;
    showAbout(episode);
    showTable(episode);
    charts.open(episode, rows);
    charts.mark(marks.of(episode));
  }
  film.seek(frame);
  showState();
}

function showAbout(episode) {
  $("about").replaceChildren(
    ...episode.about.flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
  );
  const parts = [["said", episode.heading]];
  if (rows.wrong) parts.push(["true", "true"], ["wrong", "disagreement"]);
  parts.push(["out", "left out"]);
  $("legend").replaceChildren(
    ...parts.map(([kind, name]) => element("span", [element("b", [], { class: `of-${kind}` }), name])),
  );
  $("previous-wrong").hidden = $("next-wrong").hidden = !rows.wrong;
}

let cells = [];
function showTable(episode) {
  const heads = ["control", episode.heading, ...(rows.wrong ? ["true", ""] : [])];
  $("heads").replaceChildren(...heads.map((head) => element(head ? "th" : "td", head)));
  const wanted = [...episode.controls];
  if (rows.reward) wanted.push({ name: "reward", row: "reward" });
  if (rows.confidence) wanted.push({ name: "confidence", row: "confidence", low: 0, high: 1 });
  cells = wanted.map((each) => {
    const line = { ...each, said: rows[each.row ?? `said ${each.name}`], true: rows[`true ${each.name}`], wrong: rows[`wrong ${each.name}`] };
    line.cells = ["said", "true"].filter((side) => line[side]).map((side) => {
      const [number, fill] = [element("span"), element("i")];
      const bar = element("span", fill, { class: `bar of-${side}`, "aria-hidden": "true" });
      return { side, number, fill, cell: element("td", line.low === undefined ? number : [number, bar]) };
    });
    line.mark = element("td");
    const rest = rows.wrong ? [...(line.true ? [] : [element("td")]), line.mark] : [];
    line.row = element("tr", [element("th", each.name, { scope: "row" }), ...line.cells.map(({ cell }) => cell), ...rest]);
    return line;
  });
  $("values").replaceChildren(...cells.map((line) => line.row));
}

function showFrame(frame) {
  if (!rows) return;
  const scrub = $("scrub");
  scrub.value = frame;
  const place = `${clock(rows.time[frame])}, frame ${frame} of ${episodes[current].frames}`;
  $("place").textContent = place;
  scrub.setAttribute("aria-valuetext", place);
  for (const line of cells) {
    for (const { side, number, fill } of line.cells) {
      const value = line[side][frame];
      number.textContent = value.toFixed(2);
      if (line.low === undefined) continue;
      const at = (each) => (100 * Math.min(Math.max(each - line.low, 0), line.high - line.low)) / (line.high - line.low);
      const [zero, end] = [at(0), at(value)];
      fill.style.left = `${Math.min(zero, end)}%`;
      fill.style.width = `${Math.abs(end - zero)}%`;
    }
    if (!line.wrong) continue;
    const off = line.wrong[frame] > 0;
    line.mark.textContent = off ? `✗ off ${Math.abs(line.said[frame] - line.true[frame]).toFixed(2)}` : "✓ right";
    line.mark.className = off ? "mark-wrong" : "mark-right";
  }
  charts.at(frame);
}

function showState() {
  $("play").textContent = film.plays ? "Pause" : "Play";
}

/** The next (1) or previous (-1) stretch of disagreement of this episode. */
function jumpWrong(step) {
  if (!rows?.wrong) return;
  const starts = runs(rows.wrong).map(([start]) => start);
  const next = step > 0 ? starts.find((start) => start > film.frame) : starts.findLast((start) => start < film.frame);
  if (next === undefined) $("state").textContent = "no more disagreements here";
  else film.seek(next);
}

function jumpMoment(kind, step) {
  const list = data.moments[kind];
  if (!list.length) return;
  turns[kind] = turns[kind] < 0 && step < 0 ? list.length - 1 : (turns[kind] + step + list.length) % list.length;
  showMoment(kind, turns[kind]);
}

function showMoment(kind, place) {
  turns[kind] = place;
  const [index, frame] = data.moments[kind][place];
  [...$(kind).querySelectorAll("button")].forEach((button, at) => button.classList.toggle("chosen", at === place));
  open(index, frame);
}

function listMoments(kind, told) {
  const items = data.moments[kind].map(([index, frame, value], place) => {
    const { name, rate } = episodes[index];
    const words = [element("span", `${name}, ${clock(frame / rate)}`), element("span", told(value))];
    const button = element("button", words, { type: "button" });
    button.addEventListener("click", () => showMoment(kind, place));
    return element("li", button);
  });
  $(kind).replaceChildren(...items);
  $(kind).parentElement.hidden = !items.length;
}

function nextEpisode(step) {
  const shown = buttons.filter((button) => !button.parentElement.hidden).sort((a, b) => a.parentElement.compareDocumentPosition(b.parentElement) & 4 ? -1 : 1);
  const at = shown.findIndex((button) => Number(button.dataset.episode) === current);
  const next = shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
  if (next) open(Number(next.dataset.episode));
}

function selectFrames(start, stop) {
  $("mark-start").value = start;
  $("mark-stop").value = stop;
  film.seek(start);
}

function goToMark(mark) {
  open(episodes.findIndex((episode) => episode.name === mark.episode), mark.start);
}

function addMark() {
  const [first, last] = [$("mark-start"), $("mark-stop")].map((input) => Number.parseInt(input.value, 10));
  const fault = marks.add(episodes[current], first, last, $("mark-why").value);
  $("mark-fault").textContent = fault;
  if (fault) return;
  $("mark-why").value = "";
  $("state").textContent = `frames ${first} to ${last} are marked`;
}

function sortEpisodes() {
  const by = $("sort").value;
  const rank = (button) => (by === "order" ? Number(button.dataset.episode) : episodes[button.dataset.episode][by] ?? Infinity);
  const sorted = [...buttons].sort((a, b) => rank(a) - rank(b));
  $("episodes").append(...sorted.map((button) => button.parentElement));
}

function findEpisodes() {
  const wanted = $("find").value.toLowerCase();
  for (const button of buttons) {
    button.parentElement.hidden = !episodes[button.dataset.episode].name.toLowerCase().includes(wanted);
  }
}

function changeSpeed(step) {
  const speed = $("speed");
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + step, 0), speed.length - 1);
  film.video.playbackRate = Number(speed.value);
}

const second = () => Math.round(episodes[current].rate);
const KEYS = [
  [[" ", "p"], "space, p", "play, pause", () => film.toggle()],
  [["ArrowRight"], "→", "one frame forward (with Shift: a second)", (event) => film.seek(film.frame + (event.shiftKey ? second() : 1))],
  [["ArrowLeft"], "←", "one frame back (with Shift: a second)", (event) => film.seek(film.frame - (event.shiftKey ? second() : 1))],
  [["Home"], "Home", "first frame", () => film.seek(0)],
  [["End"], "End", "last frame", () => film.seek(Infinity)],
  [["s"], "s", "slower", () => changeSpeed(-1)],
  [["f"], "f", "faster", () => changeSpeed(1)],
  [["n"], "n", "next disagreement of this episode", () => jumpWrong(1)],
  [["b"], "b", "previous disagreement of this episode", () => jumpWrong(-1)],
  [["c", "C"], "c", "next least confident moment (with Shift: the one before)", (event) => jumpMoment("unsure", event.shiftKey ? -1 : 1)],
  [["w", "W"], "w", "next most wrong moment (with Shift: the one before)", (event) => jumpMoment("wrong", event.shiftKey ? -1 : 1)],
  [["j"], "j", "next episode", () => nextEpisode(1)],
  [["k"], "k", "previous episode", () => nextEpisode(-1)],
  [["+", "="], "+", "zoom in", () => charts.zoom(0.5)],
  [["-"], "-", "zoom out", () => charts.zoom(2)],
  [["i"], "i", "first frame to leave out", () => ($("mark-start").value = film.frame)],
  [["o"], "o", "last frame to leave out", () => ($("mark-stop").value = film.frame)],
  [["a"], "a", "write why, and add the marked stretch", () => $("mark-why").focus()],
  [["h", "?"], "h", "these keys", () => $("help").showModal()],
];

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (target.matches("select, textarea, input:not([type=range]):not([type=checkbox])")) return;
  if (key === " " && target.matches("button, input")) return; // it presses the button
  const found = KEYS.find(([names]) => names.includes(key));
  if (!found || current < 0) return;
  event.preventDefault();
  found[3](event);
});

$("help-keys").append(
  ...KEYS.map(([, shown, meaning]) => element("tr", [element("td", element("kbd", shown)), element("td", meaning)])),
);
for (const button of buttons) button.addEventListener("click", () => open(Number(button.dataset.episode)));
const clicks = {
  play: () => film.toggle(),
  back: () => film.seek(film.frame - 1),
  forward: () => film.seek(film.frame + 1),
  closer: () => charts.zoom(0.5),
  wider: () => charts.zoom(2),
  "previous-wrong": () => jumpWrong(-1),
  "next-wrong": () => jumpWrong(1),
  "mark-start-here": () => ($("mark-start").value = film.frame),
  "mark-stop-here": () => ($("mark-stop").value = film.frame),
  "help-button": () => $("help").showModal(),
  "help-close": () => $("help").close(),
};
for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
$("scrub").addEventListener("input", () => film.seek(Number($("scrub").value)));
$("film").addEventListener("click", () => film.toggle());
$("speed").addEventListener("change", () => changeSpeed(0));
$("sort").addEventListener("change", sortEpisodes);
$("find").addEventListener("input", findEpisodes);
$("more").addEventListener("change", () => {
  charts.every = $("more").checked;
  charts.draw();
});
$("mark-form").addEventListener("submit", (event) => {
  event.preventDefault();
  addMark();
});
for (const name of ["confidence", "right", "reward"]) {
  if (episodes.every((episode) => episode[name] === null)) $("sort").querySelector(`[value=${name}]`).remove();
}
listMoments("unsure", (value) => `confidence ${(1 - value).toFixed(2)}`);
listMoments("wrong", (value) => `off by ${value.toFixed(2)}`);
open(0);
