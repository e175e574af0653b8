// Plots over time, drawn as SVG. They share a cursor: what one is asked about, all show.

/** Points further apart than this are not joined: nobody looked in between. */
const GAP_MS = 10 * 1000;

const PLOT = { height: 190, top: 10, bottom: 24, left: 52, right: 10 };

/** How much time is shown, growing with what there is, and how far apart times stand: the first of these that has room. */
const SPANS = [[60, 15, 30], [120, 30, 60], [300, 60, 120], [600, 120, 300]].map((seconds) => seconds.map((one) => one * 1000));

/** Room for a time of day, with seconds and without. */
const TIME_WIDTH = { seconds: 68, minutes: 46 };

const cursor = {
  at: null,
  plots: [],
  move(at) {
    this.at = at;
    for (const plot of this.plots) plot.point();
  },
};

/** Whoever makes it calls `draw` for each new sample. */
class Plot {
  #samples = [];
  #width = 0;

  /** `lines` are [{ key, label }] of samples; `write` makes text of a value, `tick` of a round one; `log` lets the axis grow by tens; `bad` means that all above zero is trouble. */
  constructor(host, { title, unit, lines, write, tick = write, log = false, least = 1, bad = false }) {
    Object.assign(this, { title, unit, lines, write, tick, log, least, bad });
    this.values = lines.map(() => html("b"));
    this.time = html("time", { class: "quiet" });
    const legend = lines.map(({ label }, index) => html("span", {}, html("i", { class: `swatch s${index}` }), label, " ", this.values[index]));
    this.drawing = svg("svg", { height: PLOT.height, "aria-hidden": "true" });
    this.frame = html("div", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": `${title}, ${unit}: arrow keys move through time`,
      "aria-orientation": "horizontal", "aria-valuemax": "0",
    }, this.drawing);
    this.card = html("section", { class: `card chart${bad ? " calm" : ""}` },
      html("header", {}, html("h3", {}, title, " ", html("small", {}, unit)), html("p", { class: "legend" }, this.time, ...legend)), this.frame);
    host.append(this.card);
    this.#listen();
    cursor.plots.push(this);
  }

  draw(samples) {
    this.#samples = samples;
    if (this.#width === 0 || samples.length === 0) return;
    const scale = this.#scale();
    this.grid = svg("g", {}, ...this.#grid(scale));
    this.marks = svg("g");
    setChildren(this.drawing, [this.grid, ...this.lines.flatMap((line, index) => this.#curve(line, index, scale)), this.marks]);
    this.point();
  }

  /** Shows what was at the cursor; the newest, if that is nowhere. */
  point() {
    if (!this.scale) return;
    const sample = this.#sampleAt(cursor.at);
    this.lines.forEach(({ key }, index) => setText(this.values[index], this.write(sample[key])));
    setText(this.time, cursor.at === null ? "" : clock(sample.at));
    this.frame.setAttribute("aria-valuemin", Math.round((this.#samples[0].at - this.#samples.at(-1).at) / 1000));
    this.frame.setAttribute("aria-valuenow", Math.round((sample.at - this.#samples.at(-1).at) / 1000));
    this.frame.setAttribute("aria-valuetext", `${clock(sample.at)}: ${this.lines.map(({ key, label }) => `${label} ${this.write(sample[key])}`).join(", ")}`);
    setChildren(this.marks, cursor.at === null ? [] : this.#marks(sample));
  }

  #marks(sample) {
    const x = this.scale.left(sample.at);
    const dots = this.lines.flatMap(({ key }, index) =>
      isDrawn(sample[key]) ? [svg("circle", { class: `dot s${index}`, cx: x, cy: this.scale.top(sample[key]), r: 4 })] : []);
    return [svg("line", { class: "cursor", x1: x, x2: x, y1: PLOT.top, y2: PLOT.height - PLOT.bottom }), ...dots];
  }

  #scale() {
    const end = this.#samples.at(-1).at;
    const [span, ...steps] = SPANS.find(([span]) => end - this.#samples[0].at <= span) ?? SPANS.at(-1);
    const values = this.#samples.flatMap((sample) => this.lines.map(({ key }) => sample[key])).filter(isDrawn);
    const high = values.reduce((most, value) => Math.max(most, value), this.least);
    const low = values.reduce((least, value) => Math.min(least, value), high);
    if (this.bad) this.card.className = `card chart ${values.some((value) => value > 0) ? "bad" : "calm"}`;
    const ticks = this.log ? logTicks(low, high) : linearTicks(high);
    const place = this.log ? (value) => Math.log10(Math.max(value, ticks[0])) : (value) => value;
    const [bottom, height] = [place(ticks[0]), place(ticks.at(-1)) - place(ticks[0])];
    const [width, tall] = [this.#width - PLOT.left - PLOT.right, PLOT.height - PLOT.top - PLOT.bottom];
    const hasRoom = (step) => (width * step) / span >= (step < 60000 ? TIME_WIDTH.seconds : TIME_WIDTH.minutes);
    this.scale = {
      begin: end - span, end, ticks, step: steps.find(hasRoom) ?? steps.at(-1),
      left: (at) => PLOT.left + width * (1 - (end - at) / span),
      top: (value) => PLOT.top + tall * (1 - (place(value) - bottom) / height),
      at: (x) => end - span * (1 - (x - PLOT.left) / width),
    };
    return this.scale;
  }

  #grid({ begin, end, step, ticks, left, top }) {
    const lines = ticks.flatMap((tick) => {
      const y = Math.round(top(tick)) + 0.5;
      return [svg("line", { class: "grid", x1: PLOT.left, x2: this.#width - PLOT.right, y1: y, y2: y }),
        svg("text", { x: PLOT.left - 8, y: y + 4, "text-anchor": "end" }, this.tick(tick))];
    });
    // Whole minutes of the reader's clock.
    const zone = new Date(end).getTimezoneOffset() * 60 * 1000;
    const times = [];
    for (let at = Math.ceil((begin - zone) / step) * step + zone; at <= end; at += step) times.push(at);
    const labels = times.map((at) => {
      const label = svg("text", { x: left(at), y: PLOT.height - 6, "text-anchor": "middle" }, clock(at, step < 60000 ? undefined : {}));
      return left(at) > PLOT.left + 4 && left(at) < this.#width - 26 ? label : "";
    });
    return [...lines, ...labels.filter(Boolean)];
  }

  /** The line, in pieces where something is not known, and what is below it where it is alone. */
  #curve({ key }, index, { begin, left, top }) {
    const pieces = [];
    let last = null;
    for (const sample of this.#samples) {
      if (sample.at < begin - GAP_MS || !isDrawn(sample[key])) continue;
      if (last === null || sample.at - last > GAP_MS) pieces.push([]);
      pieces.at(-1).push(`${left(sample.at).toFixed(1)},${top(sample[key]).toFixed(1)}`);
      last = sample.at;
    }
    const floor = PLOT.height - PLOT.bottom;
    const x = (point) => point.split(",")[0];
    const areas = this.lines.length > 1 ? [] : pieces.map((piece) =>
      svg("polygon", { class: `area s${index}`, points: [`${x(piece[0])},${floor}`, ...piece, `${x(piece.at(-1))},${floor}`].join(" ") }));
    const curve = (piece) => svg("polyline", { class: `curve s${index}`, points: (piece.length > 1 ? piece : [piece[0], piece[0]]).join(" ") });
    return [...areas, ...pieces.map(curve)];
  }

  #sampleAt(at) {
    if (at === null) return this.#samples.at(-1);
    return this.#samples.reduce((best, sample) => (Math.abs(sample.at - at) < Math.abs(best.at - at) ? sample : best));
  }

  #listen() {
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = Math.round(contentRect.width);
      this.drawing.setAttribute("width", this.#width);
      this.draw(this.#samples);
    }).observe(this.frame);
    const point = (event) => this.scale && cursor.move(this.scale.at(event.clientX - this.frame.getBoundingClientRect().left));
    this.frame.addEventListener("pointermove", point);
    this.frame.addEventListener("pointerdown", point);
    for (const end of ["pointerleave", "pointercancel", "blur"]) this.frame.addEventListener(end, () => cursor.move(null));
    this.frame.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (this.#samples.length === 0) return;
    const index = this.#samples.indexOf(this.#sampleAt(cursor.at));
    const far = this.#samples.length;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -15, PageUp: 15, Home: -far, End: far };
    if (event.key === "Escape") return cursor.move(null);
    if (!(event.key in steps)) return;
    event.preventDefault();
    cursor.move(this.#samples[Math.min(Math.max(index + steps[event.key], 0), far - 1)].at);
  }
}

const isDrawn = (value) => value !== null && value !== undefined && Number.isFinite(value);
