// The spectrogram of a sound: time from left to right, 0 to 8 kHz from bottom to top, 80 dB from dark to light.

const RATE = 16000, WINDOW = 512, RANGE_DB = 80;

/** Draws a sound file onto a canvas; resolves with its seconds. */
export async function draw(canvas, file) {
  const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  const samples = sound.getChannelData(0);
  const columns = Math.min(1024, Math.max(1, Math.floor(samples.length / 80))), bins = WINDOW / 2;
  const levels = new Float32Array(columns * bins);
  const real = new Float32Array(WINDOW), imaginary = new Float32Array(WINDOW);
  let loudest = -Infinity;
  for (let column = 0; column < columns; column++) {
    const start = Math.round((column / columns) * samples.length) - WINDOW / 2;
    for (let at = 0; at < WINDOW; at++) {
      real[at] = (samples[start + at] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW));
      imaginary[at] = 0;
    }
    transform(real, imaginary);
    for (let bin = 0; bin < bins; bin++) {
      const level = 10 * Math.log10(real[bin] ** 2 + imaginary[bin] ** 2 + 1e-12);
      levels[column * bins + bin] = level;
      loudest = Math.max(loudest, level);
    }
  }
  canvas.width = columns;
  canvas.height = bins;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, bins);
  for (let column = 0; column < columns; column++) {
    for (let bin = 0; bin < bins; bin++) {
      const level = Math.max(0, 1 + (levels[column * bins + bin] - loudest) / RANGE_DB);
      image.data.set(colour(level), 4 * ((bins - 1 - bin) * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Spectrogram of ${sound.duration.toFixed(1)} seconds, 0 to 8 kilohertz`);
  return sound.duration;
}

// From the screen's black through indigo and orange, as in the rest of the page, to a light yellow.
const STOPS = [[20, 19, 26], [64, 51, 181], [201, 84, 60], [251, 184, 102], [255, 250, 225]];

function colour(level) {
  const at = level * (STOPS.length - 1), before = Math.min(Math.floor(at), STOPS.length - 2);
  return [...STOPS[before].map((value, channel) => value + (STOPS[before + 1][channel] - value) * (at - before)), 255];
}

/** The discrete Fourier transform in place, of a length that is a power of two. */
function transform(real, imaginary) {
  const length = real.length;
  for (let at = 1, reversed = 0; at < length; at++) {
    let bit = length >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed ^= bit;
    if (at < reversed) {
      [real[at], real[reversed]] = [real[reversed], real[at]];
      [imaginary[at], imaginary[reversed]] = [imaginary[reversed], imaginary[at]];
    }
  }
  for (let size = 2; size <= length; size *= 2) {
    for (let offset = 0; offset < size / 2; offset++) {
      const angle = (-2 * Math.PI * offset) / size, cosine = Math.cos(angle), sine = Math.sin(angle);
      for (let low = offset; low < length; low += size) {
        const high = low + size / 2;
        const turned = real[high] * cosine - imaginary[high] * sine;
        const turnedImaginary = real[high] * sine + imaginary[high] * cosine;
        real[high] = real[low] - turned;
        imaginary[high] = imaginary[low] - turnedImaginary;
        real[low] += turned;
        imaginary[low] += turnedImaginary;
      }
    }
  }
}
