"use strict";
// What the dashboard makes of answers: numbers as text, rates, latencies, troubles. The page itself is tested in dashboard.test.js.

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const vm = require("node:vm");

const parts = ["format", "history", "advice"].map((part) => readFileSync(join(__dirname, `../${part}.js`), "utf8"));

/** The parts of the script that need no page. What this answers evaluates in them, and answers what JSON can say of that. */
function loaded() {
  const context = vm.createContext({});
  vm.runInContext(parts.join(""), context);
  return (expression) => JSON.parse(vm.runInContext(`JSON.stringify(${expression}) ?? "null"`, context));
}

const run = loaded();

test("numbers are short", () => {
  assert.deepEqual(run("[0, 999, 1234, 999999, 1e6, 1.5e9, null].map(text.count)"), ["0", "999", "1,234", "999,999", "1M", "1.5G", "–"]);
  assert.deepEqual(run("[0, 0.001, 0.5, 12, 999.9, 4000, 3.2e9].map(text.rate)"), ["0", "<0.01", "0.50", "12.0", "1.00k", "4.00k", "3.20G"]);
  assert.deepEqual(run("[0, 1023, 1024, 5e9].map(text.bytes)"), ["0 B", "1023 B", "1 KiB", "4.66 GiB"]);
  assert.deepEqual(run("[0.05, 3.35, 2500, Infinity].map(text.ms)"), ["50 µs", "3.35 ms", "2.5 s", ">30 s"]);
  assert.deepEqual(run("[5, 61, 3700, 90000].map(text.duration)"), ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
});

test("ticks are round and reach around", () => {
  assert.deepEqual(run("[0, 4, 7, 1e9].map(linearTicks)"), [[0, 1], [0, 2, 4], [0, 2.5, 5, 7.5], [0, 5e8, 1e9]]);
  assert.deepEqual(run("[logTicks(0.2, 9), logTicks(5, 5)]"), [[0.1, 1, 10], [1, 10]]);
});

test("names of others show what they hide", () => {
  assert.equal(run(String.raw`visible("a\u0000b\u001b[31m\u202ec\u200bд😀")`), "a␀b␛[31m\\u{202e}c\\u{200b}д😀");
});

const row = (name, counters, more = {}) =>
  ({ name, listen: "", links: 1, clients: null, uids: null, groups: null, messages_in: 0, messages_out: 0, dropped: 0, counters, ...more });
const member = (id, program, rows, more = {}) => ({
  id, program, here: false, ready: true, why: null, groups: [], latency: null, ...more,
  report: { process: { program, version: "1", pid: 1, uptime_seconds: 10, memory_bytes: 100, ...more.process }, rows },
});
const shard = (messages, clients = 5, counters = {}) => row("gateway:0", counters, { clients, messages_in: messages, messages_out: 2 * messages });
const core = (messages) => row("w:0", { commands: 0 }, { messages_in: messages, messages_out: messages });
const gateway = (messages, more) => member("gw", "gateway", [shard(messages)], more);
const worker = (messages, more) => member("w", "worker", [core(messages)], more);
const silent = { id: "gw", program: "gateway", here: false, report: null, latency: null, groups: [], ready: false, why: null, problem: "has not answered for 2 s" };

/** A history that has taken these, 2 s apart. */
function told(...answers) {
  const run = loaded();
  run("(history = new History(Object.keys(WATCHED)), 1)");
  answers.forEach((members, index) => run(`history.take(${JSON.stringify({ program: "register", may_act: true, members })}, ${1e6 + 2000 * index})`));
  return run;
}

test("rates are differences, and a message counts where clients are", () => {
  const run = told([gateway(100), worker(100)], [gateway(150), worker(150)]);
  assert.deepEqual(run("[history.now.clients, history.now.in, history.now.out, history.now.memory]"), [5, 25, 50, 200]);
  assert.equal(run("history.samples[0].in"), null);
  assert.deepEqual(run("history.members.map((member) => member.rates.in)"), [25, 25]);
  assert.equal(told([worker(0)], [worker(8)])("history.now.in"), 4);
  // In one process both count, and each message once.
  const both = (messages) => member("all", "ringway", [shard(messages), core(messages)]);
  assert.deepEqual(told([both(0)], [both(10)])("[history.now.in, history.now.out]"), [5, 10]);
});

test("a restart begins anew, and silence goes on where it was", () => {
  for (const process of [{ pid: 2 }, { uptime_seconds: 1 }]) {
    const run = told([gateway(100)], [gateway(900, { process })], [gateway(910, { process })]);
    assert.deepEqual(run("history.samples.map((sample) => sample.in)"), [null, null, 5]);
    assert.deepEqual(run("history.events.map((event) => event.what)"), ["has started again"]);
  }
  const run = told([gateway(100)], [silent], [gateway(140)]);
  assert.deepEqual(run("history.samples.map((sample) => [sample.clients, sample.in])"), [[5, null], [null, null], [5, 10]]);
  assert.deepEqual(run("history.events.map((event) => event.what)"), ["answers again", "does not answer"]);
  const left = told([gateway(1), worker(1)], [worker(1)], [worker(1), gateway(1)]);
  assert.deepEqual(left("history.events.map((event) => event.what)"), ["has come", "is gone"]);
});

test("latencies are of what came since", () => {
  const latency = (one, ten, beyond) => ({ latency: { buckets: [[1, one], [10, one + ten]], count: one + ten + beyond, sum_ms: 0 } });
  const run = told([gateway(0, latency(1000, 0, 0))], [gateway(0, latency(1000, 100, 0))]);
  assert.deepEqual(run("[history.now.p50, history.members[0].p99]"), [5.5, 9.91]);
  assert.equal(told([gateway(0, latency(0, 0, 0))], [gateway(0, latency(0, 1, 99))])("String(history.now.p99)"), "Infinity");
  assert.equal(told([gateway(0)])("history.now.p50"), null);
});

test("the plots reach back ten minutes", () => {
  const run = told(...Array.from({ length: 310 }, (_, index) => [gateway(index)]));
  assert.deepEqual(run("[history.samples.length, history.now.at - history.samples[0].at]"), [301, 600000]);
});

test("groups of all members are added up", () => {
  const groups = (...clients) => ({ groups: clients.map((count, index) => ({ name: "ab"[index], clients: count })) });
  const run = told([gateway(0, groups(8, 9)), member("gw2", "gateway", [], groups(2))]);
  assert.deepEqual(run("history.groups(5)"), [{ name: "a", clients: 10 }, { name: "b", clients: 9 }]);
  assert.deepEqual(run("history.groups(1).length"), 1);
});

test("troubles are told with what to do", () => {
  const lonely = gateway(0, { ready: false, why: "gateway:0 is in no register; gateway:1 has no worker" });
  const run = told([lonely, { ...silent, id: "gw2" }]);
  assert.deepEqual(run("problems(history).map(({ member, what }) => `${member} ${what}`)"),
    ["gw gateway:0 is in no register", "gw gateway:1 has no worker", "gw2 has not answered for 2 s"]);
  assert.match(run("problems(history)[0].todo"), /Start the register/);
  assert.deepEqual(run("history.members.map(stateOf)"), [{ word: "not ready", bad: true }, { word: "no answer", bad: true }]);
  // What somebody meant is no trouble.
  const cordoned = gateway(0, { ready: false, why: "gateway cordoned, takes no new clients" });
  assert.deepEqual(told([cordoned])("[problems(history), stateOf(history.members[0])]"), [[], { word: "cordoned", bad: false }]);
});

test("counters that grew are trouble for a minute", () => {
  const refused = (count) => member("gw", "gateway", [shard(100, 5, { links_unauthorized: count, clients_accepted: 5 * count })]);
  const run = told([refused(1)], [refused(4)], [refused(4)]);
  assert.match(run("problems(history)[0].what"), /^3 inner connections without the secret key/);
  const quiet = told([refused(1)], [refused(4)], ...Array.from({ length: 31 }, () => [refused(4)]));
  assert.deepEqual(quiet("problems(history)"), []);
});

test("what a register knows of and is not seen is told of", () => {
  const register = member("r", "register", [row("register", { gateways: 3, workers: 0 })]);
  assert.match(told([register, gateway(0)])("unseen(history)"), /^2 gateway shards registered that say nothing here/);
  assert.match(told([register])("unseen(history)"), /^No gateway/);
  const asked = member("r", "register", [row("register", { gateways: 1, workers: 1 })]);
  assert.match(told([asked, gateway(0)])("unseen(history)"), /^1 worker core registered that says nothing here: .* look-ups on this page too\.$/);
  assert.equal(told([gateway(0)])("unseen(history)"), "");
});

test("an answer that makes no sense breaks nothing", () => {
  const odd = { id: 7, program: null, report: { rows: [{ name: "x", messages_in: -1, links: "many" }] }, latency: { buckets: null }, groups: "none" };
  assert.deepEqual(told([odd], [odd], [])("[history.samples.length, history.members]"), [3, []]);
});
