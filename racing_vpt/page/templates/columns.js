"use strict";
// The page's data, the columns of its episodes, and small things that several scripts use.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

/** Rows of an episode by name, Float32Array [frames] each; they are stored as base64 of gzip. */
async function unpack(episode) {
  const bytes = bytesOf(episode.packed);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const numbers = new Float32Array(await new Response(stream).arrayBuffer());
  return Object.fromEntries(
    episode.rows.map((name, row) => [name, numbers.subarray(row * episode.frames, (row + 1) * episode.frames)]),
  );
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** [start, stop) of each run of numbers that are not 0. */
function runs(flags) {
  const found = [];
  for (let at = 0; at < flags.length; at += 1) {
    if (!flags[at]) continue;
    const start = at;
    while (at < flags.length && flags[at]) at += 1;
    found.push([start, at]);
  }
  return found;
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A new element with a text or children. */
function element(tag, content = [], attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...(Array.isArray(content) ? content : [content]));
  return made;
}
