// The page: which model, the two clips, their swaps, what lies between them, and something new.

import { access, curl, fileOf, send } from "./api.js";
import { blend } from "./codes.js";
import { Together } from "./player.js";
import { show } from "./result.js";
import { Slot } from "./slot.js";
import { lack, play as playStream } from "./stream.js";
import { work } from "./work.js";

const EXAMPLES = {
  video: ["walk.mp4", "spellcard.mp4"],
  audio: ["voice_a.wav", "voice_b.wav"],
};
const SUFFIXES = { video: ".mp4", audio: ".wav" };
const SHOWN_PIXELS = 256;
const AUDIO_SECONDS = 2;
const BLEND_AFTER_MS = 150;
const LARGEST_DRAWN_SEED = 2 ** 32;
const QUIET = matchMedia("(prefers-reduced-motion: reduce)").matches;

const at = (id) => document.getElementById(id);
const problem = at("problem"), generate = at("generate").elements;
let models = [];

const host = {
  model: null,
  get examples() {
    return EXAMPLES[host.model.modality].map((name) => ({ name, path: `static/examples/${name}` }));
  },
  /** Turns to a model that hears, where a sound is given to one that sees; what sees a film may hear it, too. */
  suits(file, slot) {
    const hears = models.find(({ modality, default: first }) => modality === "audio" && first);
    if (file.type.startsWith("audio/") && host.model.modality === "video" && hears) choose(hears, slot);
  },
  async drawn(signal) {
    const { file } = await drawn({ ...asked(), seed: Math.floor(Math.random() * LARGEST_DRAWN_SEED) }, signal);
    return file;
  },
  changed() {
    at("swap").disabled = !slots.every(({ file }) => file);
    at("blend").disabled = !slots.every(({ codes }) => codes);
    if (shown.swaps.some(({ sources }) => sources.some((file, index) => file !== slots[index].file))) clear("swaps");
    gather();
  },
};

const together = new Together((playing, share) => {
  at("play").textContent = playing ? "Pause all" : "Play all";
  if (document.activeElement !== at("position") || playing) at("position").value = share;
});
const slots = ["A", "B"].map((letter) => new Slot(letter, at("sources"), host));
const shown = { swaps: [], blended: [], generated: [] }; // results, each with its `player`, by where they are

function gather() {
  together.hold([...slots, ...shown.swaps].map(({ player }) => player));
  at("play").hidden = at("position-label").hidden = together.players.length < 2;
}

/** Takes a place's results off the page. */
function clear(place) {
  for (const { player } of shown[place]) player.end();
  shown[place] = [];
  at(place).replaceChildren();
}

/** Tells those who do not see it. */
function say(text) {
  at("said").textContent = text;
}

/** Runs what a button asks for; what goes wrong is said at the top of the page. */
async function guarded(name, task) {
  problem.textContent = "";
  try {
    await work(name, task);
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  problem.textContent = error.message;
  if (error.status === 401) at("access").open = true;
  problem.scrollIntoView({ block: "nearest" });
}

// Models

async function listModels() {
  try {
    models = (await (await send({ path: "models" })).json()).models;
  } catch (error) {
    complain(error);
    if (error.status === 503) setTimeout(listModels, 1000 * (error.retryAfter || 5));
    return;
  }
  problem.textContent = models.length ? "" : "No model is loaded; the log of the service says why.";
  if (!models.length) return;
  at("model").replaceChildren(...models.map(({ id, modality }) => new Option(`${id} (${modality})`, id)));
  const defaults = models.filter((model) => model.default);
  choose(defaults.find(({ modality }) => modality === "video") ?? defaults[0] ?? models[0]);
}

/** Turns to a model; the clips become its examples, except that of the slot that is about to get another. */
function choose(model, except = null) {
  host.model = model;
  for (const section of document.querySelectorAll("section")) section.inert = false;
  at("model").value = model.id;
  at("card").textContent = `${model.card}.`;
  for (const place of Object.keys(shown)) clear(place);
  at("command").hidden = true;
  const sound = model.modality === "audio";
  at("frames-unit").textContent = sound ? `Steps of ${1000 * model.clip.hop_s} ms` : "Frames";
  at("fps-label").hidden = at("stream").hidden = sound;
  at("action-label").hidden = !model.actions;
  const actions = Array.from({ length: model.actions }, (_, index) => new Option(index));
  generate.action.replaceChildren(new Option("any", ""), ...actions);
  generate.frames.value = sound ? Math.round(AUDIO_SECONDS / model.clip.hop_s) : Math.max(16, model.clip.frames);
  generate.fps.value = sound ? "" : model.clip.fps;
  slots.forEach((slot, index) => {
    slot.reset();
    if (slot !== except) slot.takeExample(host.examples[index].path);
  });
}

/** What enlarges a model's pictures to about what the page shows. */
function scale() {
  if (host.model.modality === "audio") return {};
  return { scale: Math.max(1, Math.min(16, Math.floor(SHOWN_PIXELS / host.model.clip.height))) };
}

const suffix = () => SUFFIXES[host.model.modality];

// Swaps

at("swap").addEventListener("click", () => guarded("Swapping", swap));

async function swap(signal) {
  const files = slots.map(({ file }) => file), model = host.model.id;
  const call = (content, motion, format) => ({ path: "swap", form: { content, motion, model, format, ...scale() } });
  const answer = await (await send(call(...files, "json"), { signal })).json();
  if (files.some((file, index) => file !== slots[index].file)) return; // others have come meanwhile
  clear("swaps");
  const format = suffix().slice(1);
  for (const [index, media] of answer.swaps.entries()) {
    const [content, motion] = index ? ["B", "A"] : ["A", "B"], [from, to] = index ? [1, 0] : [0, 1];
    const label = `${content}’s content with ${motion}’s motion`;
    shown.swaps.push({
      sources: files,
      ...show(at("swaps"), {
        heading: [word(`${content}’s content`, "is"), " with ", word(`${motion}’s motion`, "does")],
        label,
        file: await fileOf(media, `${content.toLowerCase()}-does-${motion.toLowerCase()}${suffix()}`),
        call: call(files[from], files[to], format),
        note: beside(files),
        codes: slots.every(({ codes }) => codes) ? { ...slots[from].codes, z_m: slots[to].codes.z_m } : null,
        command,
        beside: true,
      }),
    });
  }
  command(shown.swaps[0].text, beside(files));
  say("Both swaps are there.");
  gather();
  if (!QUIET) together.play(0);
  at("swaps").scrollIntoView({ block: "nearest", behavior: QUIET ? "auto" : "smooth" });
}

function beside(files) {
  const names = files.map(({ name }) => name).join(" and ");
  return `Where it runs it reads ${names}, which the links at the clips save.`;
}

at("play").addEventListener("click", () => (together.playing ? together.pause() : together.play()));
at("position").addEventListener("input", (event) => together.seek(Number(event.target.value)));

// Between

at("blend").addEventListener("click", () => guarded("Blending", between));
let later;
for (const slider of [at("blend-content"), at("blend-motion")]) {
  const say = () => slider.setAttribute("aria-valuetext", `${Math.round(100 * slider.value)}% of clip B`);
  say();
  slider.addEventListener("input", () => {
    say();
    clearTimeout(later);
    if (!at("blend").disabled) later = setTimeout(() => at("blend").click(), BLEND_AFTER_MS);
  });
}

let blending = null;

async function between(signal) {
  blending?.abort(); // a slider that moves on does not wait for where it was
  const own = (blending = new AbortController());
  const [a, b] = slots.map(({ codes }) => codes);
  const shares = ["content", "motion"].map((name) => Number(at(`blend-${name}`).value));
  const codes = blend(a, b, ...shares);
  const json = { model: host.model.id, ...codes, format: suffix().slice(1), ...scale() };
  if (a.fps) json.fps = Number((a.fps + (b.fps - a.fps) * shares[1]).toFixed(3));
  const call = { path: "decode", json };
  let file;
  try {
    file = await media(await send(call, { signal: AbortSignal.any([signal, own.signal]) }), "between");
  } catch (error) {
    if (own.signal.aborted) return;
    throw error;
  }
  clear("blended");
  const percent = shares.map((share) => `${Math.round(100 * share)}%`);
  const result = show(at("blended"), {
    heading: [word(`content ${percent[0]} B`, "is"), ", ", word(`motion ${percent[1]} B`, "does")],
    label: `Between the clips: content ${percent[0]} B, motion ${percent[1]} B`,
    file,
    codes,
    call,
    command,
    uses: uses(),
  });
  shown.blended = [result];
  command(result.text);
  start(result.player);
}

// New clips

at("generate").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded("Generating", async (signal) => {
    const { file, item, call } = await drawn(asked(), signal);
    clear("generated");
    const label = `Generated with seed ${call.json.seed}`;
    const heading = [`Seed ${call.json.seed}`];
    const result = show(at("generated"), { heading, label, file, codes: item, call, command, uses: uses() });
    shown.generated = [result];
    command(result.text);
    say(label);
    start(result.player);
  });
});

/** What the form says, without what it leaves open. */
function asked() {
  const json = { model: host.model.id };
  for (const name of ["seed", "temperature", "frames", "fps", "action"]) {
    if (generate[name].value !== "") json[name] = Number(generate[name].value);
  }
  if (host.model.modality === "audio") delete json.fps;
  return { ...json, ...scale() };
}

/** A new clip, its codes, and the call that makes it again. */
async function drawn(json, signal) {
  const answer = await (await send({ path: "generate", json: { ...json, format: "json" } }, { signal })).json();
  const call = { path: "generate", json: { ...json, seed: answer.seed, format: suffix().slice(1) } };
  const [item] = answer.items;
  return { file: await fileOf(item, `generated-${answer.seed}${suffix()}`), item, call };
}

at("stream").addEventListener("click", () => {
  const why = lack();
  if (why) {
    complain(new Error(why));
    return;
  }
  guarded("Streaming: it goes on until you cancel", async (signal) => {
    const { frames, ...json } = { ...asked(), stream: true };
    const replaced = new AbortController(), either = AbortSignal.any([signal, replaced.signal]);
    const response = await send({ path: "generate", json }, { signal: either });
    json.seed = Number(response.headers.get("X-Seed"));
    clear("generated");
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true, playsInline: true, controls: true });
    video.setAttribute("aria-label", `Stream of seed ${json.seed}`);
    const screen = document.createElement("div"), said = document.createElement("p");
    screen.className = "screen";
    screen.append(video);
    at("generated").replaceChildren(screen, said);
    shown.generated = [{ player: { end: () => replaced.abort() } }];
    command(curl({ path: "generate", json }, "stream.mp4"), "It goes on until it is stopped.");
    let bytes = 0;
    try {
      await playStream(video, response, either, (length) => {
        bytes += length;
        said.textContent = `${Math.floor(video.currentTime)} s played, ${(bytes / 1e6).toFixed(1)} MB received`;
      });
    } catch (error) {
      if (!replaced.signal.aborted) throw error;
    }
  });
});

// What results have in common

async function media(response, name) {
  return new File([await response.blob()], `${name}${suffix()}`, { type: response.headers.get("Content-Type") });
}

const uses = () => Object.fromEntries(slots.map((slot) => [`Use as ${slot.letter}`, (file) => slot.take(file)]));

function start(player) {
  if (!QUIET && player.media instanceof HTMLVideoElement) player.media.play().catch(() => {});
}

function word(text, className) {
  return Object.assign(document.createElement("span"), { textContent: text, className });
}

function command(text, note = "") {
  at("command").hidden = false;
  at("curl").textContent = text;
  at("command-note").textContent = note;
  at("copy").textContent = "Copy";
}

at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    at("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(at("curl")); // pages that are not on https:// or localhost may not copy
    at("copy").textContent = "Press Ctrl+C";
  }
});

at("model").addEventListener("change", () => choose(models.find(({ id }) => id === at("model").value)));
at("access").addEventListener("submit", (event) => event.preventDefault());
at("key").addEventListener("change", () => {
  access.key = at("key").value;
  listModels();
});
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
listModels();
