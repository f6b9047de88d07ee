"use strict";
// Stretches to leave out of training, as `racing-vpt pack --exclude` reads them.

class Marks {
  /** onChange() is called when the list has changed, onGo(mark) when one shall be shown. */
  constructor(episodes, onChange, onGo) {
    Object.assign(this, { episodes, onChange, onGo, list: [], saved: true });
    addEventListener("beforeunload", (event) => {
      if (!this.saved) event.preventDefault();
    });
    $("download").addEventListener("click", () => this.download());
    $("load-button").addEventListener("click", () => $("load").click());
    $("load").addEventListener("change", async () => {
      const [file] = $("load").files;
      if (file) this.load(await file.text());
      $("load").value = "";
    });
  }

  /** [start, stop) of an episode's marks. */
  of(episode) {
    return this.list.filter((mark) => mark.episode === episode.name).map(({ start, stop }) => [start, stop]);
  }

  /** Add frames first to last of an episode; returns what is wrong with them, or nothing. */
  add(episode, first, last, why) {
    const good = Number.isInteger(first) && Number.isInteger(last) && first >= 0 && first <= last && last < episode.frames;
    if (!good) return `Give the first and the last frame, from 0 to ${episode.frames - 1}.`;
    if (!why.trim()) return "Write why these frames shall be left out.";
    const { name, sha256, frames } = episode;
    this.list.push({ episode: name, video_sha256: sha256, num_frames: frames, start: first, stop: last + 1, why: why.trim() });
    this.changed(false);
    return "";
  }

  changed(saved) {
    this.saved = saved;
    const rows = this.list.map((mark) => {
      const go = element("button", `${mark.start} to ${mark.stop - 1}`, { type: "button" });
      go.addEventListener("click", () => this.onGo(mark));
      const remove = element("button", "Remove", { type: "button", "aria-label": `Remove frames ${mark.start} to ${mark.stop - 1}` });
      remove.addEventListener("click", () => {
        this.list = this.list.filter((other) => other !== mark);
        this.changed(false);
      });
      return element("tr", [mark.episode, go, mark.why, remove].map((cell) => element("td", cell)));
    });
    $("mark-list").replaceChildren(...rows);
    $("mark-table").hidden = !rows.length;
    $("download").disabled = !rows.length;
    this.onChange();
  }

  text() {
    const file = { format: 1, kind: "excluded", made_by: `racing-vpt ${data.version}`, stretches: this.list };
    return `${JSON.stringify(file, null, 1)}\n`;
  }

  download() {
    const address = URL.createObjectURL(new Blob([this.text()], { type: "application/json" }));
    element("a", "", { href: address, download: "excluded.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    this.saved = true;
  }

  load(text) {
    let given;
    try {
      given = JSON.parse(text);
    } catch {
      given = null;
    }
    if (given?.kind !== "excluded" || given.format !== 1 || !Array.isArray(given.stretches)) {
      $("mark-fault").textContent = "This file is no list of marked stretches that was downloaded here.";
      return;
    }
    const known = new Map(this.episodes.map((episode) => [episode.name, episode]));
    const fits = ({ episode, num_frames, start, stop }) => known.get(episode)?.frames === num_frames && 0 <= start && start < stop && stop <= num_frames;
    const good = given.stretches.filter(fits);
    const others = given.stretches.length - good.length;
    $("mark-fault").textContent = others ? `${others} stretches are of other episodes and were not loaded.` : "";
    this.list.push(...good.map((mark) => ({ ...mark, why: String(mark.why) })));
    this.changed(this.saved);
  }
}
