// Work that takes a while: what is done now, for how long, and the way to stop it.

const bar = document.getElementById("work");
const text = document.getElementById("work-text");
const time = document.getElementById("work-time");
const SHOWN_AFTER_MS = 300;

const running = new Map(); // what each is called, by its AbortController
let newest = null;

document.getElementById("cancel").addEventListener("click", () => newest?.abort());
setInterval(() => {
  if (newest) time.textContent = `${Math.round((performance.now() - running.get(newest).since) / 1000)} s`;
}, 500);

/** Runs `task(signal)` under a name; resolves with its result, or undefined where it was cancelled. */
export async function work(name, task) {
  const controller = new AbortController();
  running.set(controller, { name, since: performance.now() });
  const shown = setTimeout(show, SHOWN_AFTER_MS);
  try {
    return await task(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    return undefined;
  } finally {
    clearTimeout(shown);
    running.delete(controller);
    show();
  }
}

function show() {
  newest = [...running.keys()].at(-1) ?? null;
  bar.hidden = !newest;
  text.textContent = newest ? running.get(newest).name : "";
  time.textContent = "";
}
