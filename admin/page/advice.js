// What is wrong with a cluster, and what to do about it. docs/OPERATIONS.md says more of each.

/** What members say of themselves, and what to do; `null` is meant by somebody, and no trouble. */
const SAID = [
  [/cordoned|drain|stopping|has not answered yet/, null],
  [/has ended|has not turned/, "Its log says why. Start the program again."],
  [/has not answered/, "A thread is held up, by a handler that blocks or for want of CPU. Its log says more."],
  [/in no register/, "Start the register, or see in its log why it is refused."],
  [/has no worker/, "Start workers, or see in their logs why they do not connect: key, firewall, --register-address."],
  [/has no gateway/, "Is a gateway registered, and are its inner ports open to this worker?"],
];

const UNREACHED = "It does not answer. Does it run, is its --admin address open to this machine, and has it the same secret key?";

/** Counters that are trouble when they grow: what it is, what to do, and from which share of the messages out on. */
const WATCHED = {
  "gateway.messages_dropped_slow_client": ["messages dropped, as clients read too slowly", "Send them less, or raise --send-to-client-buffer-size.", 0.001],
  "gateway.events_dropped": ["events dropped, as no worker was there", "Add workers, or raise --no-worker-wait."],
  "gateway.events_poisonous": ["events dropped that three workers died with", "The log has their ids: find what in them kills a worker."],
  "gateway.closes_dropped": ["ends of clients dropped, as no worker was there", "Add workers, or raise --no-worker-wait."],
  "gateway.clients_closed_no_worker": ["clients closed, as no worker was there", "Start workers, or see in their logs why they do not connect."],
  "gateway.clients_closed_unserved": ["newcomers refused, as their worker took no events", "Workers are too slow: see what handlers wait for, or add some."],
  "gateway.accepts_failed": ["clients not accepted for want of files", "Raise LimitNOFILE, run scripts/tune --check, or add a gateway."],
  "gateway.refused_max_clients": ["clients refused beyond --max-clients", "Add a gateway, or raise it."],
  "gateway.refused_max_clients_per_shard": ["clients refused beyond --max-clients-per-shard", "Add a gateway, or raise it."],
  "gateway.links_without_tls": ["inner connections without TLS", "Give that program --inner-tls-ca, --inner-tls-cert and --inner-tls-key, too: the log has its address."],
  "gateway.links_tls_failed": ["inner connections without a certificate of the cluster", "A program with a certificate of another authority, or somebody who should not be there: the log has the address."],
  "gateway.links_unauthorized": ["inner connections without the secret key", "A program with an old key, or somebody who should not be there: the log has the address."],
  "gateway.workers_refused": ["workers refused whose --name another one has", "Give each worker program of a machine a name of its own."],
  "gateway.links_stuck": ["links of workers that took nothing", "The worker hangs, or its machine is gone."],
  "gateway.links_silent": ["links of workers that fell silent", "The worker hangs, or its machine is gone."],
  "gateway.hook_panics": ["panics of hooks", "A bug of the gateway's hooks: its log says where."],
  "worker.panics": ["panics of handlers", "A bug of a handler: its log says where."],
  "worker.slow_handlers": ["handlers that held up their core", "Its log says which: have them await, or move the work to another thread."],
  "worker.events_dropped": ["events read and not handled", "Raise --drain-timeout: stops are too short."],
  "worker.commands_dropped": ["commands for gateways that are not connected", "See in its log which gateway, and why."],
  "worker.commands_forgotten": ["commands that no gateway has taken", "A gateway was away for too long, or is overloaded."],
  "worker.standstills": ["standstills of a core", "A handler blocks: its log says which."],
  "worker.links_overfull": ["links given up, as gateways took too little", "Gateways are overloaded: add one."],
  "register.refused_without_tls": ["connections without TLS", "Give that program --inner-tls-ca, --inner-tls-cert and --inner-tls-key, too: the log has its address."],
  "register.refused_tls_failed": ["connections without a certificate of the cluster", "A program with a certificate of another authority, or somebody who should not be there: the log has the address."],
  "register.refused_wrong_key": ["connections with a wrong secret key", "A program with an old key, or somebody who should not be there: the log has the address."],
};

const adviceOn = (said) => SAID.find(([pattern]) => pattern.test(said))?.[1];

/** What it says is wrong with it, each once. */
const saidOf = (member) => [...new Set([...member.faults, ...(member.ready ? [] : (member.why ?? "is not ready").split("; "))])];

/** What it is in one word, and whether that is trouble. */
function stateOf(member) {
  if (!member.answers) return { word: "no answer", bad: true };
  const said = saidOf(member);
  if (said.length === 0) return { word: "up", bad: false };
  const trouble = said.find((one) => adviceOn(one) !== null);
  if (trouble) return { word: member.faults.includes(trouble) ? "fault" : "not ready", bad: true };
  const words = ["drain", "cordoned", "stopping"].find((word) => said.some((one) => one.includes(word)));
  return { word: words === "drain" ? "drained" : words ?? "starting", bad: false };
}

/** Everything that is trouble, as [{ member, program, what, todo }]. */
function problems(history) {
  return history.members.flatMap((member) => {
    const trouble = (what, todo) => ({ member: member.id, program: member.program, what, todo });
    if (!member.answers) return [trouble(member.problem ?? UNREACHED, "")];
    const said = saidOf(member).filter((one) => adviceOn(one) !== null);
    return [...said.map((one) => trouble(one, adviceOn(one) ?? "Its log says more.")), ...lately(history, member, trouble)];
  });
}

function lately(history, member, trouble) {
  return history.grown(member.id).flatMap(({ kind, name, count, share }) => {
    const [what, todo, least = 0] = WATCHED[`${kind}.${name}`] ?? [];
    return what && share >= least ? [trouble(`${text.count(Math.max(count, 1))} ${what}, lately`, todo)] : [];
  });
}

/** What there is beyond the members that are seen, in a sentence; nothing if that is all. */
function unseen({ members, leftOut }) {
  if (leftOut > 0) return `${plural(leftOut, "more member")} not asked, as there are too many.`;
  const rows = members.flatMap((member) => member.rows);
  const register = rows.find((row) => row.kind === "register");
  if (register && members.length === 1 && rows.length === 1) return "No gateway or worker has told where its --admin is.";
  // Who does not answer now may be any of them.
  if (!register || members.some((member) => !member.answers)) return "";
  const beyond = (counter, kind) => number(register.counters[counter]) - rows.filter((row) => row.kind === kind).length;
  const told = [[beyond("gateways", "gateway"), "gateway shard"], [beyond("workers", "worker"), "worker core"]];
  const missing = told.filter(([count]) => count > 0);
  if (missing.length === 0) return "";
  const count = missing.reduce((sum, [some]) => sum + some, 0);
  const names = missing.map(([some, what]) => plural(some, what)).join(" and ");
  const todo = count === 1 ? "says nothing here: start its program with --admin" : "say nothing here: start their programs with --admin";
  // To a register they are the same.
  const others = missing.some(([, what]) => what === "worker core") ? " Programs that use gateway-client count as worker cores, look-ups on this page too." : "";
  return `${names} registered that ${todo}.${others}`;
}
