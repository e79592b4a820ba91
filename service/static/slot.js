// One of the two clips: where its file comes from, how it looks or sounds, and its codes.

import { send } from "./api.js";
import { draw as drawCodes } from "./codes.js";
import { Player } from "./player.js";
import { record } from "./recorder.js";
import { work } from "./work.js";

const RECORDED_S = { video: 4, audio: 8 };
const ACCEPTED = {
  video: "video/*,image/gif,image/webp,image/apng,image/png",
  audio: "audio/*,video/mp4,video/webm",
};

export class Slot {
  /**
   * `host` has the model (`host.model`), examples (`host.examples`), what a file of the other kind does
   * (`host.suits(file, slot)`), what draws a new clip (`host.drawn(signal)`), and wants to know (`host.changed()`).
   */
  constructor(letter, place, host) {
    this.letter = letter;
    this.host = host;
    this.file = this.codes = this.player = null;
    const article = document.getElementById("clip").content.cloneNode(true).firstElementChild;
    place.append(article);
    const find = (what) => article.querySelector(what);
    this.article = article;
    this.input = find("input");
    this.examples = find("select");
    this.problem = find(".problem");
    article.setAttribute("aria-label", `Clip ${letter}`);
    find("h3").textContent = `Clip ${letter}`;
    find(".example .unseen").textContent = `Example for clip ${letter}`;
    this.input.setAttribute("aria-label", `Choose a file for clip ${letter}`);
    for (const button of article.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent} clip ${letter}`);
    }
    this.input.addEventListener("change", () => {
      if (this.input.files.length) this.take(this.input.files[0]);
      this.input.value = "";
    });
    this.examples.addEventListener("change", () => {
      if (this.examples.value) this.takeExample(this.examples.value);
    });
    find('[data-do="record"]').addEventListener("click", () => this.#record());
    find('[data-do="draw"]').addEventListener("click", () => this.#draw());
    for (const name of ["dragover", "dragleave", "drop"]) {
      article.addEventListener(name, (event) => {
        event.preventDefault();
        article.classList.toggle("over", name === "dragover");
        if (name === "drop" && event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
      });
    }
  }

  /** Is told that the model is another one, which may read nothing of what is here. */
  reset() {
    this.player?.end();
    this.file = this.codes = this.mark = this.player = null;
    for (const part of [".screen", ".name", ".codes", ".problem"]) this.article.querySelector(part).replaceChildren();
    this.host.changed();
    const options = this.host.examples.map(({ name, path }) => new Option(name, path));
    this.examples.replaceChildren(new Option("Examples …", ""), ...options);
    this.input.accept = ACCEPTED[this.host.model.modality];
    this.article.classList.toggle("sound", this.host.model.modality === "audio");
  }

  async takeExample(path) {
    await this.#guarded(`Clip ${this.letter}: fetching the example`, async (signal) => {
      const response = await send({ path }, { signal });
      const name = path.split("/").at(-1);
      const file = new File([await response.blob()], name, { type: response.headers.get("Content-Type") });
      await this.#encode(file, signal);
    });
  }

  async take(file) {
    this.examples.value = "";
    this.host.suits(file, this);
    await this.#guarded(`Clip ${this.letter}: looking at it`, (signal) => this.#encode(file, signal));
  }

  async #record() {
    const { modality } = this.host.model;
    const file = await record(modality === "audio", RECORDED_S[modality]);
    if (file) await this.take(file);
  }

  async #draw() {
    await this.#guarded(`Clip ${this.letter}: generating it`, async (signal) => {
      const file = await this.host.drawn(signal);
      await this.#encode(file, signal);
    });
  }

  async #guarded(name, task) {
    this.problem.textContent = "";
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    try {
      await work(name, (signal) => task(AbortSignal.any([signal, stop.signal])));
    } catch (error) {
      if (!stop.signal.aborted) this.problem.textContent = error.message;
    }
  }

  async #encode(file, signal) {
    this.#show(file);
    const call = { path: "encode", form: { file, model: this.host.model.id } };
    const codes = await (await send(call, { signal })).json();
    this.codes = codes;
    const close = codes.psnr_db === undefined
      ? `said back ${codes.lsd_db.toFixed(1)} dB off`
      : `said back at ${codes.psnr_db.toFixed(1)} dB`;
    this.mark = drawCodes(this.article.querySelector(".codes"), codes, `${codes.frames} steps, ${close}`);
    this.host.changed();
  }

  #show(file) {
    this.player?.end();
    this.file = file;
    this.codes = this.mark = this.player = null;
    this.article.querySelector(".codes").replaceChildren();
    const screen = this.article.querySelector(".screen"), name = this.article.querySelector(".name");
    const unshown = () => {
      const note = document.createElement("p");
      note.textContent = "This browser cannot show the file.";
      screen.replaceChildren(note);
    };
    if (file.size) {
      this.player = new Player(screen, file, `Clip ${this.letter}`, { onTime: (time) => this.mark?.(time) });
      this.player.media?.addEventListener("error", unshown);
      const link = document.createElement("a");
      name.replaceChildren(Object.assign(link, { href: this.player.url, textContent: file.name, download: file.name }));
    } else {
      unshown();
      name.textContent = file.name;
    }
    this.host.changed();
  }
}
