// The report of a run. Tiles and charts are of its first step, the table is of all.

function draw({ report, table, failed, lost }) {
  document.title = `loadgen: ${report.steps[0].setup.scenario}`;
  document.body.append(
    html("h1", {}, document.title),
    html("p", { class: "what" }, describe(report)),
    html("div", { class: "tiles" }, ...tiles(report, failed, lost)),
    html("div", { class: "charts" }, ...charts(report)),
    html("section", { class: "card tables" }, html("pre", {}, table)),
  );
}

function describe({ setup, steps: [{ measured }], connections, interrupted }) {
  const [first, ...others] = setup.targets;
  const more = others.length ? ` and ${others.length} more` : "";
  const threads = setup.cores === 1 ? "1 thread" : `${setup.cores} threads`;
  const end = interrupted ? ", interrupted" : "";
  const seconds = measured.seconds.toFixed(1);
  return `${grouped(connections.asked)} connections to ${first}${more}, ${threads}, ${seconds} s measured (shaded)${end}`;
}

function tiles({ steps: [{ measured, churn, latency_us, fanout }], connections, server }, failed, lost) {
  const total = (failures) => Object.values(failures).reduce((sum, count) => sum + count, 0);
  const tile = (name, value, detail, bad = false) =>
    html("div", { class: `card tile${bad ? " bad" : ""}` }, html("span", {}, name), html("b", {}, value), html("small", {}, detail));
  const latency = (name, us) => (us ? [tile(name, time(us.p50), `p50, p99 ${time(us.p99)}`)] : []);
  const failures = total(connections.failures) + (churn ? total(churn.failures) : 0);
  const losses = total(connections.losses);
  return [
    tile("connections", grouped(connections.opened), `of ${grouped(connections.asked)}, ${si(connections.opened_per_second)}/s`),
    churn
      ? tile("clients that came", grouped(churn.made), `of ${grouped(churn.begun)}`)
      : tile("received", `${si(measured.received_per_second)}/s`, grouped(measured.received)),
    ...latency(churn ? "connect" : "latency", latency_us),
    ...latency("last receiver", fanout?.last_receiver_us),
    ...(server ? [tile("server memory", bytes(server.most_bytes), `at most, ${bytes(server.first_bytes)} before`)] : []),
    tile("failed", grouped(failures), failed, failures > 0),
    tile("lost", grouped(losses), lost, losses > 0),
  ];
}

function charts({ steps: [{ measured, churn, latency_us, fanout }], seconds }) {
  const [byPercentile, byTime, rates] = churn
    ? ["Connect time by percentile", "Connect time, second by second", "Clients that came, per second"]
    : ["Latency by percentile", "Latency, second by second", "Messages received, per second"];
  const end = seconds.at(-1)?.at_seconds ?? 0;
  const ticks = linearTicks(end).filter((tick) => tick <= end).map((tick) => [tick, `${tick} s`]);
  const from = measured.from_seconds;
  const shade = measured.seconds > 0 ? [from, from + measured.seconds] : undefined;
  const over = (title, lines, more) => chart({ title, ticks, lines, shade, ...more });
  // A count or a rate is zero when the run begins.
  const count = (key) => ({ name: key, points: [[0, 0], ...seconds.map((second) => [second.at_seconds, second[key]])] });
  const known = (name, key) => ({
    name,
    points: seconds.filter((second) => second[key] !== null).map((second) => [second.at_seconds, second[key]]),
  });
  const happened = ({ name, points }) => name === "connected" || points.some(([, y]) => y > 0);
  return [
    ...percentiles(byPercentile, latency_us, fanout?.last_receiver_us),
    ...over(byTime, [known("p99", "p99_us"), known("p50", "p50_us")], { write: time, log: true }),
    ...over("Connections", ["connected", "failed", "lost"].map(count).filter(happened)),
    ...over(rates, [count("rate")]),
    ...over("Memory of the server", [known("memory", "server_bytes")], { write: bytes }),
  ];
}

/** Percentiles, spread by how rare what is beyond them is. */
function percentiles(title, each, last) {
  const place = (quantile, count) => -Math.log10(Math.max(1 - quantile, 0.5 / count));
  const line = (name, latency) => ({ name, points: latency.curve.map(({ quantile, us }) => [place(quantile, latency.count), us]) });
  const lines = [["each", each], ["last receiver", last]].filter(([, latency]) => latency).map(([name, latency]) => line(name, latency));
  const end = Math.max(0, ...lines.flatMap((one) => one.points.map(([x]) => x)));
  const ticks = ["50", "90", "99", "99.9", "99.99", "99.999"].map((percent) => [place(percent / 100, Infinity), `${percent} %`]);
  return chart({ title, ticks: ticks.filter(([x]) => x <= end + 1e-9), lines, write: time, log: true });
}
