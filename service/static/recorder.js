// A clip from the camera or the microphone, in the dialog of the page.

const dialog = document.getElementById("recorder");
const start = document.getElementById("recorder-start");
const text = document.getElementById("recorder-text");
const problem = dialog.querySelector(".problem");
const screen = dialog.querySelector(".screen");

/** Opens the dialog; resolves with a File, or null where it was closed without one. */
export async function record(sound, seconds) {
  problem.textContent = text.textContent = "";
  screen.replaceChildren();
  dialog.showModal();
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  start.disabled = true;
  let stream;
  try {
    if (!navigator.mediaDevices) throw new Error("A browser records only on https:// or on localhost.");
    stream = await navigator.mediaDevices.getUserMedia(
      sound ? { audio: true } : { video: { width: 320, height: 320, frameRate: 24 } },
    );
  } catch (error) {
    problem.textContent = `There is no ${sound ? "microphone" : "camera"} to record from: ${error.message}`;
    await closed;
    return null;
  }
  if (!sound) {
    const preview = Object.assign(document.createElement("video"), { muted: true, playsInline: true, autoplay: true });
    preview.setAttribute("aria-label", "What the camera sees");
    preview.srcObject = stream;
    screen.replaceChildren(preview);
  }
  text.textContent = `Up to ${seconds} seconds are recorded.`;
  try {
    return await Promise.race([taken(stream, sound, seconds), closed.then(() => null)]);
  } finally {
    for (const track of stream.getTracks()) track.stop();
    screen.replaceChildren();
    start.textContent = "Start";
    dialog.close();
  }
}

async function taken(stream, sound, seconds) {
  start.disabled = false;
  start.focus();
  await pressed();
  const recorder = new MediaRecorder(stream), parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.start();
  start.textContent = "Stop";
  text.textContent = "Recording …";
  await Promise.race([pressed(), new Promise((resolve) => setTimeout(resolve, 1000 * seconds))]);
  recorder.stop();
  await stopped;
  const type = recorder.mimeType.split(";")[0];
  return new File(parts, `recorded.${type.split("/")[1]}`, { type: type.replace(/^\w+/, sound ? "audio" : "video") });
}

const pressed = () => new Promise((resolve) => start.addEventListener("click", resolve, { once: true }));
