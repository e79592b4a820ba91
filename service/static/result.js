// A clip that the service made: shown, with its codes where they are known, to keep, to use again, or to make again.

import { curl } from "./api.js";
import { draw as drawCodes } from "./codes.js";
import { Player } from "./player.js";

/**
 * Shows a result in `place`, alone or `beside` what is there; returns its player and the text of its command.
 *
 * `heading` are nodes, `call` makes just this file, `command(text, note)` shows how, `uses` are more buttons:
 * {text: action(file)}.
 */
export function show(place, result) {
  const { heading, label, file, call, command, note = "", codes = null, uses = {}, beside = false } = result;
  const article = document.getElementById("result").content.cloneNode(true).firstElementChild;
  article.setAttribute("aria-label", label);
  article.querySelector("h3").replaceChildren(...heading);
  let mark = null;
  if (codes) mark = drawCodes(article.querySelector(".codes"), codes);
  const player = new Player(article.querySelector(".screen"), file, label, { onTime: (time) => mark?.(time) });
  const save = document.createElement("a");
  Object.assign(save, { className: "button", textContent: "Save", href: player.url, download: file.name });
  const text = curl(call, file.name);
  const shown = () => {
    command(text, note);
    document.getElementById("command").scrollIntoView({ block: "nearest" });
    document.getElementById("copy").focus({ preventScroll: true });
  };
  const actions = { "As curl": shown, ...uses };
  const buttons = Object.entries(actions).map(([name, action]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => action(file));
    return button;
  });
  article.querySelector(".actions").append(save, ...buttons);
  if (beside) place.append(article);
  else place.replaceChildren(article);
  return { player, text };
}
