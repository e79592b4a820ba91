// A video that is played while it is made: what comes is handed to the player as soon as it has room.

const AHEAD_S = 10, BEHIND_S = 10;
const PIECE = 2 ** 14; // bytes handed over at once, as a single read may bring a minute of video

/** Why this browser cannot play a stream, or null. */
export function lack() {
  if (sourceKind()) return null;
  return "This browser cannot play a video while it is made: generate a number of frames instead.";
}

/**
 * Plays the response to a request into a video element, until it ends or `signal`, which is the request's, aborts it.
 * `onPiece` is told of each piece's bytes.
 */
export async function play(video, response, signal, onPiece) {
  const Kind = sourceKind(), source = new Kind();
  video.disableRemotePlayback = true; // else ManagedMediaSource does not open
  const url = URL.createObjectURL(source);
  const opened = happens(source, "sourceopen", signal);
  video.src = url;
  await opened;
  const buffer = source.addSourceBuffer(response.headers.get("Content-Type"));
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let at = 0; at < value.length; at += PIECE) {
        // What waits here is followed by no read, which is what makes the service wait.
        while (ahead(video) > AHEAD_S) await happens(video, "timeupdate", signal);
        const piece = value.subarray(at, at + PIECE);
        buffer.appendBuffer(piece);
        await happens(buffer, "updateend", signal);
        const old = video.currentTime - BEHIND_S;
        if (buffer.buffered.length && buffer.buffered.start(0) < old - BEHIND_S) {
          buffer.remove(0, old);
          await happens(buffer, "updateend", signal);
        }
        onPiece(piece.length);
      }
    }
  } finally {
    if (source.readyState === "open" && !buffer.updating) source.endOfStream();
    URL.revokeObjectURL(url);
  }
}

const sourceKind = () => globalThis.ManagedMediaSource ?? globalThis.MediaSource;

function ahead(video) {
  const { buffered, currentTime } = video;
  return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
}

function happens(target, event, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    target.addEventListener(event, () => {
      signal.removeEventListener("abort", aborted);
      resolve();
    }, { once: true });
    if (signal.aborted) aborted();
  });
}
