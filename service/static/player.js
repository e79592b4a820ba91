// What is seen and heard: a player for a file, and players that move together.

import { draw as drawSpectrogram } from "./spectrogram.js";

const DRIFT_S = 0.08;

/** Shows a file in `screen`: pictures that move silently, or a sound with its spectrogram. */
export class Player {
  constructor(screen, file, label, { onTime } = {}) {
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.onTime = onTime;
    this.head = null;
    if (file.type.startsWith("image/")) {
      this.still = Object.assign(new Image(), { src: this.url, alt: label });
      screen.replaceChildren(this.still);
      return;
    }
    const sound = file.type.startsWith("audio/");
    const media = (this.media = document.createElement(sound ? "audio" : "video"));
    media.setAttribute("aria-label", label);
    if (sound) {
      Object.assign(media, { controls: true, preload: "auto" });
      const canvas = document.createElement("canvas");
      this.head = Object.assign(document.createElement("div"), { className: "head" });
      const picture = document.createElement("div");
      picture.className = "screen";
      picture.append(canvas, this.head);
      screen.replaceChildren(picture, media);
      this.drawn = drawSpectrogram(canvas, file).catch(() => picture.remove());
      media.addEventListener("play", () => {
        for (const other of document.querySelectorAll("audio")) if (other !== media) other.pause();
        this.#follow();
      });
    } else {
      Object.assign(media, { muted: true, loop: true, playsInline: true, preload: "auto" });
      media.addEventListener("play", () => this.#follow());
      screen.replaceChildren(media);
    }
    media.addEventListener("seeked", () => this.#mark());
    media.src = this.url;
  }

  get seconds() {
    return Number.isFinite(this.media?.duration) ? this.media.duration : 0;
  }

  end() {
    this.media?.pause();
    this.media?.removeAttribute("src");
    URL.revokeObjectURL(this.url);
  }

  #mark() {
    const time = this.seconds ? Math.min(1, this.media.currentTime / this.seconds) : 0;
    this.onTime?.(time);
    if (this.head) this.head.style.transform = `translateX(${time * this.head.parentElement.clientWidth}px)`;
  }

  #follow() {
    const step = () => {
      this.#mark();
      if (!this.media.paused && this.media.isConnected) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

/** Videos of any lengths on one clock, each repeating by itself. */
export class Together {
  /** `onTick` is told whether they play, and how far the longest is, in [0, 1]. */
  constructor(onTick) {
    this.onTick = onTick;
    this.players = [];
    this.playing = false;
    this.time = 0;
    this.since = 0;
    setInterval(() => this.#tick(), 200);
  }

  get longest() {
    return Math.max(0, ...this.players.map((player) => player.seconds));
  }

  hold(players) {
    this.players = players.filter((player) => player?.media instanceof HTMLVideoElement);
    if (this.playing) this.play(this.#now());
  }

  /** Plays all from a time in seconds. */
  play(time = this.time) {
    this.playing = true;
    this.time = time;
    this.since = performance.now();
    for (const player of this.players) {
      this.#put(player, time, 0);
      player.media.play().catch(() => {}); // a player that was replaced meanwhile
    }
    this.#tell();
  }

  pause() {
    this.time = this.#now();
    this.playing = false;
    for (const player of this.players) player.media.pause();
    this.#tell();
  }

  seek(share) {
    this.time = share * this.longest;
    this.since = performance.now();
    for (const player of this.players) this.#put(player, this.time, 0);
  }

  #now() {
    return this.playing ? this.time + (performance.now() - this.since) / 1000 : this.time;
  }

  #put(player, time, drift) {
    if (!player.seconds) return;
    const wanted = time % player.seconds, off = Math.abs(player.media.currentTime - wanted);
    if (Math.min(off, player.seconds - off) > drift) player.media.currentTime = wanted;
  }

  #tick() {
    if (!this.playing || document.hidden) return;
    for (const player of this.players) {
      this.#put(player, this.#now(), DRIFT_S);
      if (player.media.paused) player.media.play().catch(() => {});
    }
    this.#tell();
  }

  #tell() {
    this.onTick(this.playing, this.longest ? (this.#now() % this.longest) / this.longest : 0);
  }
}
