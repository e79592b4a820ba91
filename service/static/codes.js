// Codes, drawn and blended: {z_c: [Dc], z_m: [[Dm] × T], action: [A] or null}.

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const number = (value) => value.toFixed(2).replace("-", "−");

/** Draws z^c as a strip and z^m as curves into `place`; returns what moves the curves' mark to a time in [0, 1]. */
export function draw(place, { z_c, z_m }, said = "") {
  const strip = element("svg", {
    class: "strip", viewBox: `0 0 ${z_c.length} 1`, preserveAspectRatio: "none", role: "img",
    "aria-label": `z c: ${z_c.length} numbers from ${number(Math.min(...z_c))} to ${number(Math.max(...z_c))}`,
  });
  const most = Math.max(...z_c.map(Math.abs), 1e-6);
  z_c.forEach((value, at) => {
    // From the middle up where positive, down where negative, the deeper the larger.
    const size = Math.abs(value) / most / 2;
    strip.append(element("rect", {
      x: at + 0.08, y: value > 0 ? 0.5 - size : 0.5, width: 0.84, height: Math.max(size, 0.02), fill: "currentColor",
      "fill-opacity": (0.35 + size * 1.3).toFixed(3),
    }));
  });

  const all = z_m.flat();
  const low = Math.min(...all), high = Math.max(...all), last = Math.max(z_m.length - 1, 1);
  const curves = element("svg", {
    class: "curves", viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "img",
    "aria-label": `z m: ${z_m[0].length} curves over ${z_m.length} steps, from ${number(low)} to ${number(high)}`,
  });
  z_m[0].forEach((_, dimension) => {
    const points = z_m.map((step, at) => {
      const height = (high - step[dimension]) / (high - low || 1);
      return `${(at / last).toFixed(4)} ${(0.04 + 0.92 * height).toFixed(4)}`;
    });
    const opacity = (0.9 - (0.6 * dimension) / z_m[0].length).toFixed(2);
    curves.append(element("path", { d: `M${points.join("L")}`, "stroke-opacity": opacity }));
  });
  curves.classList.toggle("dense", z_m.length > 64);
  const mark = element("line", { x1: 0, x2: 0, y1: 0, y2: 1 });
  curves.append(mark);

  const note = Object.assign(document.createElement("p"), { className: "said", textContent: said });
  place.replaceChildren(labelled("c", "is", strip), labelled("m", "does", curves), ...(said ? [note] : []));
  return (time) => {
    mark.setAttribute("x1", time);
    mark.setAttribute("x2", time);
  };
}

function labelled(index, colour, drawing) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const raised = Object.assign(document.createElement("sup"), { textContent: index });
  caption.className = colour;
  caption.append("z", raised);
  figure.append(caption, drawing);
  return figure;
}

/** Codes between those of two clips: content by one share of the second's, motion (and action) by another. */
export function blend(a, b, content, motion) {
  const steps = Math.round(mix(a.z_m.length, b.z_m.length, motion));
  return {
    z_c: between(a.z_c, b.z_c, content),
    z_m: Array.from({ length: steps }, (_, at) => {
      const time = steps > 1 ? at / (steps - 1) : 0;
      return between(codeAt(a.z_m, time), codeAt(b.z_m, time), motion);
    }),
    ...(a.action ? { action: between(a.action, b.action, motion) } : {}),
  };
}

const mix = (a, b, share) => a + (b - a) * share;
const between = (a, b, share) => a.map((value, at) => Number(mix(value, b[at], share).toFixed(5)));

/** The code at a time in [0, 1], between the steps next to it. */
function codeAt(z_m, time) {
  const at = time * (z_m.length - 1), before = Math.floor(at), after = Math.min(before + 1, z_m.length - 1);
  return z_m[before].map((value, dimension) => mix(value, z_m[after][dimension], at - before));
}
