"use strict";
// The film: frame by frame, whether it plays or is sought.

class Film {
  /** onFrame(frame) is called whenever another frame is shown, onState() when it starts or stops. */
  constructor(video, onFrame, onState) {
    Object.assign(this, { video, onFrame, onState, frame: 0, frames: 1, rate: 1, wanted: null, address: null });
    video.addEventListener("seeked", () => this.sought());
    for (const kind of ["play", "pause", "ended", "ratechange"]) video.addEventListener(kind, onState);
    video.addEventListener("error", () => {
      const beside = this.name ? `${this.name} lies beside this page` : "this browser plays H.264";
      $("film-fault").textContent = `The film cannot be played; is it there (${beside})?`;
    });
    this.follow();
  }

  open(episode, index) {
    this.video.pause();
    if (this.address) URL.revokeObjectURL(this.address);
    $("film-fault").textContent = "";
    Object.assign(this, { frame: 0, frames: episode.frames, rate: episode.rate, wanted: null, name: episode.film });
    this.address = null;
    if (episode.film === null) {
      this.address = URL.createObjectURL(new Blob([bytesOf($(`film-${index}`).textContent)], { type: "video/mp4" }));
    }
    const speed = this.video.playbackRate;
    this.video.src = this.address ?? encodeURI(episode.film);
    this.video.playbackRate = this.video.defaultPlaybackRate = speed;
  }

  get plays() {
    return !this.video.paused && !this.video.ended;
  }

  toggle() {
    if (this.plays) {
      this.video.pause();
      this.seek(this.frame);
    } else {
      if (this.frame >= this.frames - 1) this.seek(0);
      this.video.play().catch(() => {}); // it was paused again meanwhile
    }
  }

  /** Stop at a frame. */
  seek(frame) {
    this.video.pause();
    this.move(frame);
  }

  /** Go to a frame, and play on if it plays. */
  move(frame) {
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.frames - 1);
    this.onFrame(this.frame);
    if (this.video.seeking || this.video.readyState === 0) this.wanted = this.frame;
    else this.video.currentTime = (this.frame + 0.5) / this.rate;
    if (this.video.readyState === 0) {
      this.video.addEventListener("loadedmetadata", () => this.sought(), { once: true });
    }
  }

  /** The browser is done with a seek; another may have been asked for meanwhile. */
  sought() {
    if (this.wanted === null) return;
    const wanted = this.wanted;
    this.wanted = null;
    this.video.currentTime = (wanted + 0.5) / this.rate;
  }

  follow() {
    const show = (seconds, slack) => {
      const frame = Math.min(Math.floor(seconds * this.rate + slack), this.frames - 1);
      if (this.plays && !this.video.seeking && frame !== this.frame) {
        this.frame = frame;
        this.onFrame(frame);
      }
    };
    if ("requestVideoFrameCallback" in this.video) {
      const next = (now, about) => {
        show(about.mediaTime, 0.5); // the time at which the frame begins
        this.video.requestVideoFrameCallback(next);
      };
      this.video.requestVideoFrameCallback(next);
    } else {
      const next = () => {
        show(this.video.currentTime, 1e-3);
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    }
  }
}
