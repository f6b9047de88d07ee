"use strict";
// Charts over time (uPlot): a control each, then reward and confidence, with one view and one line for "now".

const FEW = 6; // charts of controls that are shown at first
const HEIGHT = 58; // pixels of a chart; the last one has the axis of time below
const AXIS = 28;

class Charts {
  /** onSeek(frame) for a click, onSelect(start, stop) for a drag, both in frames. */
  constructor(holder, onSeek, onSelect) {
    Object.assign(this, { holder, onSeek, onSelect, plots: [], now: 0, outs: [], every: false });
    new ResizeObserver(() => this.fit()).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  open(episode, rows) {
    Object.assign(this, { episode, rows, now: 0, outs: [] });
    this.times = Array.from(rows.time);
    this.end = this.times.at(-1) + 1 / episode.rate;
    this.view = [0, this.end];
    this.draw();
  }

  /** What has a chart: title, series, range, whether its values stand until the next. */
  get wanted() {
    const { controls } = this.episode;
    const shown = this.every ? controls : controls.slice(0, FEW);
    const wanted = shown.map(({ name, low, high }) => {
      const stepped = !["steering", "throttle", "brake", "camera_pitch", "camera_yaw"].includes(name);
      return { title: name, said: `said ${name}`, true: `true ${name}`, wrong: `wrong ${name}`, low, high, stepped };
    });
    if (this.rows.reward) {
      const reward = this.rows.reward.filter(Number.isFinite);
      const low = reward.reduce((a, b) => Math.min(a, b), 0);
      const high = reward.reduce((a, b) => Math.max(a, b), low + 1e-3);
      wanted.push({ title: "reward", said: "reward", low, high, stepped: true, colour: "right" });
    }
    if (this.rows.confidence) {
      wanted.push({ title: "confidence", said: "confidence", low: 0, high: 1, wrong: "wrong", colour: "sure" });
    }
    return wanted;
  }

  draw() {
    if (!this.rows) return;
    for (const plot of this.plots) plot.destroy();
    this.holder.replaceChildren();
    const wanted = this.wanted;
    this.plots = wanted.map((each, number) => this.plot(each, number === wanted.length - 1));
  }

  plot(each, last) {
    const place = element("div", [element("div", each.title, { class: "caption" })], { class: "chart" });
    this.holder.append(place);
    const columns = [this.times, Array.from(this.rows[each.said])];
    const line = { stroke: colour(each.colour ?? "said"), width: 1.5, points: { show: false } };
    if (each.stepped) line.paths = uPlot.paths.stepped({ align: 1 });
    const series = [{}, line];
    if (this.rows[each.true]) {
      columns.push(Array.from(this.rows[each.true]));
      series.push({ ...line, stroke: colour("true"), dash: [5, 3] });
    }
    const pad = 0.06 * (each.high - each.low);
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 0.5 }, ticks: { show: false } };
    const bad = each.wrong && this.rows[each.wrong] ? runs(this.rows[each.wrong]) : [];
    const plot = new uPlot(
      {
        width: this.holder.clientWidth,
        height: HEIGHT + (last ? AXIS : 0),
        padding: [4, 8, 4, 0],
        legend: { show: false },
        cursor: { sync: { key: "time" }, drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
        scales: { x: { time: false, range: () => this.view }, y: { range: [each.low - pad, each.high + pad] } },
        axes: [
          { ...axis, show: last, size: AXIS, values: (self, splits) => splits.map((split) => `${split} s`) },
          { ...axis, size: 46, splits: () => [each.low, each.high], values: (self, splits) => splits.map((split) => +split.toFixed(2)) },
        ],
        series,
        hooks: {
          drawClear: [(self) => this.shade(self, bad)],
          draw: [(self) => this.place(self)], // the scales of a new plot, or a moved one, are known only now
          setSelect: [(self) => this.selected(self)],
        },
      },
      columns,
      place,
    );
    const described = `${each.title} over ${this.end.toFixed(1)} seconds${bad.length ? `, ${bad.length} stretches of disagreement` : ""}`;
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", described);
    plot.over.append(element("div", [], { class: "now" }));
    plot.over.addEventListener("mousedown", () => Object.assign(this, { active: plot, dragged: false }));
    plot.over.addEventListener("click", (event) => {
      if (!this.dragged) this.onSeek(this.frameAt(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x")));
    });
    return plot;
  }

  /** The ground of frames that disagree. */
  shade(plot, bad) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = colour("wrong-ground");
    for (const [start, stop] of bad) {
      const left = Math.max(plot.valToPos(this.timeOf(start), "x", true), bbox.left);
      const right = Math.min(plot.valToPos(this.timeOf(stop), "x", true), bbox.left + bbox.width);
      if (right > left) ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
    }
    ctx.restore();
  }

  selected(plot) {
    const { left, width } = plot.select;
    if (plot !== this.active || width < 3) return;
    this.dragged = true;
    this.onSelect(this.frameAt(plot.posToVal(left, "x")), this.frameAt(plot.posToVal(left + width, "x")));
  }

  timeOf(frame) {
    return frame < this.times.length ? this.times[frame] : this.end;
  }

  frameAt(time) {
    let low = 0;
    let high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Move the line for "now", and the view with it. */
  at(frame) {
    this.now = frame;
    const time = this.timeOf(frame);
    const width = this.view[1] - this.view[0];
    if (time < this.view[0] || time > this.view[1]) this.look(time - width / 10, width);
    for (const plot of this.plots) this.line(plot);
  }

  zoom(factor) {
    const width = Math.min(Math.max((this.view[1] - this.view[0]) * factor, 0.5), this.end);
    this.look(this.timeOf(this.now) - width / 2, width);
  }

  look(start, width) {
    const from = Math.min(Math.max(start, 0), Math.max(this.end - width, 0));
    this.view = [from, Math.min(from + width, this.end)];
    for (const plot of this.plots) plot.setScale("x", { min: this.view[0], max: this.view[1] });
  }

  /** Show stretches [start, stop) of frames that are left out. */
  mark(outs) {
    this.outs = outs;
    for (const plot of this.plots) this.place(plot);
  }

  /** Put the line for "now" and what is left out into their places. */
  place(plot) {
    this.line(plot);
    plot.over.querySelectorAll(".out").forEach((old) => old.remove());
    for (const [start, stop] of this.outs) {
      const left = Math.max(plot.valToPos(this.timeOf(start), "x"), 0);
      const right = Math.min(plot.valToPos(this.timeOf(stop), "x"), plot.over.clientWidth);
      if (!(right > left)) continue;
      const out = element("div", [], { class: "out" });
      Object.assign(out.style, { transform: `translateX(${left}px)`, width: `${right - left}px` });
      plot.over.append(out);
    }
  }

  line(plot) {
    const left = plot.valToPos(this.timeOf(this.now), "x");
    plot.over.querySelector(".now").style.transform = `translateX(${left}px)`;
  }

  fit() {
    const width = this.holder.clientWidth;
    for (const plot of this.plots) if (width && plot.width !== width) plot.setSize({ width, height: plot.height });
  }
}
