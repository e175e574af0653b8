// Numbers and names as text. Knows nothing of what they mean.

const grouped = (count) => Math.round(count).toLocaleString("en-US");

/** Three digits. */
const digits = (value) => String(Number(value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)));

/** Three digits and a unit, as in `1.23M`. */
function short(value, write = digits) {
  const [factor, unit] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([least]) => value >= least * 0.9995) ?? [1, ""];
  return write(value / factor) + unit;
}

const NONE = "–";

/** A function that says that a number is not known. */
const known = (write) => (value) => (value === null || value === undefined ? NONE : write(value));

const text = {
  /** As many as fit are written out. */
  count: known((value) => (value < 1e6 ? grouped(value) : short(value))),
  /** Of one width, or it would tremble. */
  rate: known((value) => {
    if (value === 0) return "0";
    return value < 0.01 ? "<0.01" : short(value, (three) => three.toFixed(three >= 99.95 ? 0 : three >= 9.995 ? 1 : 2));
  }),
  bytes: known((value) => {
    const [factor, unit] = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]].find(([least]) => value >= least) ?? [1, "B"];
    return `${digits(value / factor)} ${unit}`;
  }),
  ms: known((value) => {
    if (value === Infinity) return ">30 s";
    const [factor, unit] = [[1e3, "s"], [1, "ms"]].find(([least]) => value >= least * 0.9995) ?? [1e-3, "µs"];
    return `${digits(value / factor)} ${unit}`;
  }),
  duration: known((seconds) => {
    const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
    if (days > 0) return `${days} d ${hours} h`;
    if (hours > 0) return `${hours} h ${minutes} min`;
    return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
  }),
};

/** The time of day, in the reader's zone; without seconds on request. */
const clock = (at, more = { second: "2-digit" }) =>
  new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...more });

/** A name that somebody else chose: what cannot be seen, or turns the text around it, is spelled out. */
function visible(name) {
  return String(name).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (char) => {
    const code = char.codePointAt(0);
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `\\u{${code.toString(16)}}`;
  });
}

const plural = (count, one, many = `${one}s`) => `${text.count(count)} ${count === 1 ? one : many}`;

/** Round numbers from zero to `high` or a little beyond, three to six of them; two if `high` is zero. */
function linearTicks(high) {
  if (!(high > 0)) return [0, 1];
  const rough = high / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  return Array.from({ length: Math.ceil((high / step) * 0.9999) + 1 }, (_, index) => index * step);
}

/** Powers of ten from `low` or below to `high` or beyond: at least two. */
function logTicks(low, high) {
  const first = Math.floor(Math.log10(Math.max(low, 1e-3)) + 1e-9);
  const last = Math.max(Math.ceil(Math.log10(Math.max(high, 1e-3)) - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(`1e${first + index}`));
}
