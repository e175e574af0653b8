"use strict";
// The page of `loadgen --html`: its arithmetic by itself, and the page as a real browser draws it.
// LOADGEN is the program, CHROMIUM the browser; scripts/test sets both.

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { mkdtemp, readFile, rm } = require("node:fs/promises");
const { createServer } = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { promisify } = require("node:util");
const vm = require("node:vm");

const run = promisify(execFile);
const charts = vm.createContext({});
vm.runInContext(readFileSync(join(__dirname, "../charts.js"), "utf8"), charts);
const value = (expression) => JSON.parse(vm.runInContext(`JSON.stringify(${expression})`, charts));

test("numbers are short", () => {
  assert.deepEqual(value("[0, 0.5, 12.34, 99.96, 1500, 2e6].map(si)"), ["0", "0.5", "12.3", "100", "1.5k", "2M"]);
  assert.deepEqual(value("[278.2, 3350, 2e6].map(time)"), ["278 µs", "3.35 ms", "2 s"]);
  assert.deepEqual(value("[7, 1234, 1e6].map(grouped)"), ["7", "1,234", "1,000,000"]);
});

test("ticks are round and reach around", () => {
  assert.deepEqual(value("linearTicks(0)"), [0, 1]);
  assert.deepEqual(value("linearTicks(2000)"), [0, 500, 1000, 1500, 2000]);
  assert.deepEqual(value("linearTicks(7)"), [0, 2, 4, 6, 8]);
  assert.deepEqual(value("logTicks(30, 900)"), [20, 50, 100, 200, 500, 1000]);
  assert.deepEqual(value("logTicks(10, 20000)"), [10, 100, 1000, 10000, 100000]);
  assert.equal(value("logTicks(5, 5)").length, 2);
});

test("lines stay on the paper", () => {
  vm.runInContext("var linear = scale([0, 10], [0, 4], false), log = scale([1, 1], [1, 100], true);", charts);
  assert.deepEqual(value("[linear.left(0), linear.left(10), linear.top(0), linear.top(4)]"), [62, 586, 228, 12]);
  assert.deepEqual(value("[log.top(0), log.left(1), log.top(10)]"), [228, 324, 120]);
});

/** What the browser makes of a page that `make` writes into a file. */
async function drawn(make) {
  const directory = await mkdtemp(join(tmpdir(), "ringway-page-"));
  try {
    const file = join(directory, "page.html");
    await make(file);
    assert.doesNotMatch(await readFile(file, "utf8"), /<(link|img|script src)|@import|url\(/, "asks for something");
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${join(directory, "profile")}`, "--dump-dom"];
    const { stdout } = await run(process.env.CHROMIUM, [...flags, `file://${file}`], { maxBuffer: 64 << 20 });
    const body = stdout.replace(/<script>.*?<\/script>/s, "");
    assert.doesNotMatch(body, /NaN|Infinity|undefined|null/);
    return body;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const count = (body, what) => body.split(what).length - 1;

test("a report has tiles, charts and the table", async (t) => {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  t.after(() => server.close());
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const target = `tcp://127.0.0.1:${server.address().port}`;
  const load = ["--target", target, "--conns", "20", "--scenario", "echo", "--hold", "2", "--count", "1"];
  const body = await drawn((file) => run(process.env.LOADGEN, [...load, "--html", file]));
  for (const words of ["loadgen: echo", `20 connections to ${target}, 1 thread, 2.0 s measured (shaded)`, "Latency by percentile",
    "Latency, second by second", "Messages received, per second", "20 of 20 open", "measured</title>", "99 %"]) {
    assert.ok(body.includes(words), `${words}\n${body}`);
  }
  assert.ok(count(body, "<svg") >= 4 && count(body, "<polyline") >= 5 && count(body, "<circle") > 20, body);
});
