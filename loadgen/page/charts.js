// Charts: numbers and labels in, elements out. Knows nothing of what they mean.

const PAPER = { width: 600, height: 260, left: 62, right: 586, top: 12, bottom: 228 };

/** Points of a line that tell their value under the mouse; more would only make the page heavy. */
const DOTS_MAX = 400;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const html = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Three digits. */
function short(value) {
  return String(Number(value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)));
}

/** Three digits and a unit. */
function si(value) {
  const [factor, unit] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([least]) => value >= least) ?? [1, ""];
  return short(value / factor) + unit;
}

/** Microseconds. */
function time(us) {
  const [factor, unit] = [[1e6, "s"], [1e3, "ms"]].find(([least]) => us >= least) ?? [1, "µs"];
  return `${short(us / factor)} ${unit}`;
}

const bytes = (value) => `${si(value)}B`;
const grouped = (count) => count.toLocaleString("en-US");

/** Round numbers from zero to `high` or a little beyond, four to six of them; two if `high` is zero. */
function linearTicks(high) {
  if (high <= 0) return [0, 1];
  const rough = high / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  return Array.from({ length: Math.ceil(high / step) + 1 }, (_, index) => index * step);
}

/** Round numbers from `low` or below to `high` or beyond, each two to three times the one before; ten if the range is wide. */
function logTicks(low, high) {
  low = Math.max(low, 1e-3);
  const factors = high / low > 1e3 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: 15 }, (_, index) => index - 3);
  const all = powers.flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)));
  const first = Math.max(all.findLastIndex((tick) => tick <= low * 1.001), 0);
  const last = all.findIndex((tick) => tick >= high * 0.999);
  return all.slice(first, Math.max(last < 0 ? all.length : last, first + 1) + 1);
}

/** Where a value is between two others; halfway if those are one. */
const share = (value, low, high) => (high > low ? (value - low) / (high - low) : 0.5);

/** From values to places on the paper. */
function scale([xLow, xHigh], [yLow, yHigh], log) {
  const height = log ? (y) => share(Math.log(Math.max(y, yLow)), Math.log(yLow), Math.log(yHigh)) : (y) => share(y, yLow, yHigh);
  return {
    left: (x) => PAPER.left + (PAPER.right - PAPER.left) * share(Math.min(Math.max(x, xLow), xHigh), xLow, xHigh),
    top: (y) => PAPER.bottom - (PAPER.bottom - PAPER.top) * height(y),
  };
}

const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
const round = (place) => place.toFixed(1);

/**
 * A card with lines over a common x and y axis; nothing if there is less than a line.
 *
 * `ticks` are the x ticks as [x, label]. `lines` have a `name` and `points` [x, y] with x ascending; three can be told
 * apart. `write` makes text of y; `log` lets y grow by factors; `shade` is the part of the x axis that matters most.
 */
function chart({ title, ticks, lines, write = si, log = false, shade }) {
  const points = lines.flatMap((line) => line.points);
  if (points.length < 2) return [];
  const [low, high] = ends(points.map(([, y]) => y));
  const yTicks = log ? logTicks(low, high) : linearTicks(high);
  const { left, top } = scale(ends([...points, ...ticks].map(([x]) => x)), ends(yTicks), log);
  const drawing = svg("svg", { viewBox: `0 0 ${PAPER.width} ${PAPER.height}`, role: "img", "aria-label": title });
  if (shade) {
    const [x, end] = shade.map(left);
    const box = { x: round(x), y: PAPER.top, width: round(end - x), height: PAPER.bottom - PAPER.top };
    drawing.append(svg("rect", { class: "shade", ...box }, svg("title", {}, "measured")));
  }
  for (const tick of yTicks) {
    const y = top(tick);
    drawing.append(svg("line", { class: "grid", x1: PAPER.left, x2: PAPER.right, y1: round(y), y2: round(y) }));
    drawing.append(svg("text", { x: PAPER.left - 8, y: round(y + 4), "text-anchor": "end" }, write(tick)));
  }
  for (const [x, label] of ticks) {
    drawing.append(svg("text", { x: round(left(x)), y: PAPER.bottom + 20, "text-anchor": "middle" }, label));
  }
  lines.forEach(({ name, points }, index) => {
    drawing.append(...curve(points, index, left, top, ([, y]) => `${name}: ${write(y)}`));
  });
  // The title names a line that is alone.
  const names = lines.length > 1 ? lines.map((line, index) => html("span", {}, html("i", { class: `s${index}` }), line.name)) : [];
  return [html("section", { class: "card" }, html("h2", {}, title), html("p", { class: "key" }, ...names), drawing)];
}

/** A line, and dots that `label` says something of. */
function curve(points, index, left, top, label) {
  const places = points.map(([x, y]) => [round(left(x)), round(top(y))]);
  const line = svg("polyline", { class: `curve s${index}`, points: places.join(" ") });
  if (points.length > DOTS_MAX) return [line];
  const dot = ([cx, cy], at) =>
    svg("circle", { class: `dot s${index}`, cx, cy, r: 5 }, svg("title", {}, label(points[at])));
  return [line, ...places.map(dot)];
}
