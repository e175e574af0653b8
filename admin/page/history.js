// What a cluster tells over time: answers of `/cluster` in, members with rates and samples for plots out. No clock, no page.

/** How far back the plots reach. */
const KEPT_MS = 10 * 60 * 1000;

/** Latencies are of the last so many samples together, as one event in 64 is measured. */
const LATENCY_SAMPLES = 5;

/** A counter that grew is trouble for so long. */
const TROUBLE_MS = 60 * 1000;

/** Things that happened which are remembered. */
const EVENTS_MAX = 50;

const number = (value) => (Number.isFinite(value) && value >= 0 ? value : 0);
const list = (value) => (Array.isArray(value) ? value : []);
/** The sum of what is known; null if nothing is. */
const sum = (values) => values.reduce((total, value) => (value === null ? total : (total ?? 0) + value), null);

/** A row's own program: those of a gateway have clients, those of a worker commands. */
const kindOf = (row) => (row.clients !== null ? "gateway" : "commands" in row.counters ? "worker" : "register");

function readRow(row) {
  const optional = (value) => (value === null || value === undefined ? null : number(value));
  const read = {
    name: String(row.name), listen: String(row.listen ?? ""), links: number(row.links), counters: row.counters ?? {},
    clients: optional(row.clients), uids: optional(row.uids), groups: optional(row.groups),
    in: number(row.messages_in), out: number(row.messages_out), dropped: number(row.dropped),
  };
  return { ...read, kind: kindOf(read) };
}

/** Cumulated buckets [[ms, count], …] as how many were in each: [[ms, count], …], the last one up to Infinity. */
function readLatency(latency) {
  if (!latency) return null;
  const cumulated = list(latency.buckets).map(([bound, count]) => [number(bound), number(count)]);
  cumulated.push([Infinity, Math.max(number(latency.count), cumulated.at(-1)?.[1] ?? 0)]);
  return cumulated.map(([bound, count], index) => [bound, count - (cumulated[index - 1]?.[1] ?? 0)]);
}

/** Adds up distributions; their bounds may differ. */
function merged(distributions) {
  const counts = new Map();
  for (const [bound, count] of distributions.flat()) counts.set(bound, (counts.get(bound) ?? 0) + count);
  return [...counts].sort(([one], [other]) => one - other);
}

/** What came since; all of it where there is no before. */
function since(before, now) {
  const had = new Map(before);
  return now.map(([bound, count]) => [bound, Math.max(count - (had.get(bound) ?? 0), 0)]);
}

/** The value below which this share of all is, as if each bucket were filled evenly; null of nothing. */
function quantile(distribution, share) {
  const total = distribution.reduce((all, [, count]) => all + count, 0);
  let rest = total * share;
  let low = 0;
  for (const [bound, count] of distribution) {
    if (count > 0 && rest <= count) return bound === Infinity ? Infinity : low + (bound - low) * (rest / count);
    rest -= count;
    low = bound;
  }
  return null;
}

/** A member as it was told of, without what follows from the time before. */
function readMember(told) {
  const report = told.report ?? null;
  const rows = list(report?.rows).map(readRow);
  const process = report?.process ?? {};
  return {
    id: String(told.id), program: String(told.program), here: Boolean(told.here), rows,
    answers: report !== null, problem: told.problem ? String(told.problem) : null,
    ready: told.ready !== false, why: told.why ? String(told.why) : null, faults: list(report?.faults).map(String),
    run: told.run ? String(told.run) : null, version: report && String(process.version ?? ""), pid: report && process.pid,
    uptime: report && number(process.uptime_seconds), memory: report && (number(process.memory_bytes) || null),
    clients: sum(rows.map((row) => row.clients)), links: report && sum(rows.map((row) => row.links)),
    latency: readLatency(told.latency), groups: list(told.groups),
  };
}

/** The rates of each row of a member, and its latencies since `before`; none at the first sight, and after a restart. */
function withRates(member, before, at) {
  const seconds = before ? (at - before.at) / 1000 : 0;
  const goes = before && seconds > 0 && isSameProcess(before.member, member);
  const old = new Map(goes ? before.member.rows.map((row) => [row.name, row]) : []);
  for (const row of member.rows) compare(row, old.get(row.name), seconds);
  const of = (key, kind) => {
    const rows = member.rows.filter((row) => row.kind === kind || kind === undefined);
    return sum(rows.map((row) => row.rates?.[key] ?? null));
  };
  // In a process that is gateway and worker, a message goes through both and counts once.
  const kind = member.rows.some((row) => row.kind === "gateway") ? "gateway" : undefined;
  member.rates = { in: of("in", kind), out: of("out", kind), dropped: of("dropped") };
  member.fresh = goes && member.latency && before.member.latency ? since(before.member.latency, member.latency) : null;
  // A gateway's own; nothing of a process that was there before a restart.
  member.recent = [...(goes ? before.member.recent : []).slice(1 - LATENCY_SAMPLES), member.fresh ?? []];
  member.p99 = quantile(merged(member.recent), 0.99);
  return member;
}

function isSameProcess(before, now) {
  return before.run === now.run && before.pid === now.pid && now.uptime >= before.uptime - 1;
}

/** Gives a row its rates, and what its counters were; neither if they went back. */
function compare(row, before, seconds) {
  const goes = before && row.in >= before.in && row.out >= before.out && row.dropped >= before.dropped;
  const rate = (key) => (row[key] - before[key]) / seconds;
  row.rates = goes ? { in: rate("in"), out: rate("out"), dropped: rate("dropped") } : null;
  row.before = goes ? { counters: before.counters, seconds } : null;
}

/** By how much a counter of a row grew since the answer before. */
const growth = (row, name) => (row.before ? Math.max(number(row.counters[name]) - number(row.before.counters[name]), 0) : 0);

/** Order of calls: `take` for each answer; everything else reads what is known by then. */
class History {
  members = [];
  samples = [];
  events = [];
  #watched;
  #before = new Map();
  #grown = new Map();

  /** `watched` are the counters that `grown` tells of, as `gateway.hook_panics`. */
  constructor(watched) {
    this.#watched = watched.map((name) => name.split("."));
  }

  /** An answer that came at `at`, in ms of a clock that never goes back. */
  take(answer, at) {
    const first = this.samples.length === 0;
    this.program = String(answer.program);
    this.mayAct = answer.may_act === true;
    this.whyNot = answer.why_not ? String(answer.why_not) : "";
    this.leftOut = number(answer.left_out);
    const members = list(answer.members).map(readMember);
    for (const member of members) withRates(member, this.#before.get(member.id), at);
    if (!first) this.#tell(members, at);
    this.members = members;
    this.#watch(at);
    this.#remember(at);
    this.samples.push(this.#sample(at));
    while (this.samples[0].at < at - KEPT_MS) this.samples.shift();
  }

  /** The newest sample. */
  get now() {
    return this.samples.at(-1);
  }

  /** The largest groups of all members together, as [{ name, clients }]. */
  groups(most) {
    const clients = new Map();
    for (const { name, clients: count } of this.members.flatMap((member) => member.groups)) {
      clients.set(String(name), (clients.get(String(name)) ?? 0) + number(count));
    }
    const all = [...clients].map(([name, count]) => ({ name, clients: count }));
    return all.sort((one, other) => other.clients - one.clients || (one.name < other.name ? -1 : 1)).slice(0, most);
  }

  /** Watched counters of a member that grew lately, as [{ kind, name, count, share }]: by how much, and per message that went out. */
  grown(id) {
    return [...(this.#grown.get(id)?.values() ?? [])];
  }

  #sample(at) {
    const members = this.members;
    const total = (read) => sum(members.map(read));
    const fresh = merged(members.map((member) => member.fresh ?? []));
    const latest = merged([...this.samples.slice(1 - LATENCY_SAMPLES).map((sample) => sample.fresh), fresh]);
    // Messages are counted where clients are; a worker that is alone counts its own.
    const counted = members.some((member) => member.clients !== null) ? (member) => member.clients !== null : () => true;
    const rate = (key) => sum(members.filter(counted).map((member) => member.rates[key]));
    // Where there is no gateway, as a register knows, there is no client.
    const none = members.some((member) => member.rows.some((row) => row.kind === "register")) ? 0 : null;
    return {
      at, fresh, clients: total((member) => member.clients) ?? none, memory: total((member) => member.memory), in: rate("in"), out: rate("out"),
      dropped: total((member) => member.rates.dropped), p50: quantile(latest, 0.5), p99: quantile(latest, 0.99),
    };
  }

  #remember(at) {
    const old = this.#before;
    this.#before = new Map();
    for (const member of this.members) {
      // Who does not answer once goes on where it was.
      const before = member.answers ? { at, member } : old.get(member.id);
      if (before) this.#before.set(member.id, before);
    }
  }

  #watch(at) {
    const old = this.#grown;
    this.#grown = new Map();
    for (const member of this.members) {
      const grown = new Map([...(old.get(member.id) ?? [])].filter(([, { last }]) => at - last < TROUBLE_MS));
      for (const [kind, name] of this.#watched) {
        const rows = member.rows.filter((row) => row.kind === kind && growth(row, name) > 0);
        if (rows.length === 0) continue;
        const total = (read) => rows.reduce((all, row) => all + read(row), 0);
        const [more, out] = [total((row) => growth(row, name)), total((row) => row.rates.out * row.before.seconds)];
        const { count = 0 } = grown.get(`${kind}.${name}`) ?? {};
        grown.set(`${kind}.${name}`, { kind, name, count: count + more, share: more / Math.max(out, 1), last: at });
      }
      this.#grown.set(member.id, grown);
    }
  }

  /** What is different from the answer before. */
  #tell(members, at) {
    const old = new Map(this.members.map((member) => [member.id, member]));
    const say = (member, what, bad = false) => this.events.unshift({ at, member: member.id, program: member.program, what, bad });
    for (const member of members) {
      const before = old.get(member.id);
      const known = this.#before.get(member.id);
      old.delete(member.id);
      if (!before) say(member, "has come");
      else if (before.answers && !member.answers) say(member, "does not answer", true);
      else if (known && member.answers && !isSameProcess(known.member, member)) say(member, "has started again");
      else if (!before.answers && member.answers) say(member, "answers again");
      else if (member.answers && before.ready && !member.ready) say(member, `is not ready: ${member.why ?? "it does not say why"}`);
      else if (member.answers && !before.ready && member.ready) say(member, "is ready again");
    }
    for (const gone of old.values()) say(gone, "is gone");
    this.events.length = Math.min(this.events.length, EVENTS_MAX);
  }
}
