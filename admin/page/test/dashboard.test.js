"use strict";
// The dashboard in a real browser, on the page of a real register, with a gateway, a worker and clients.
// RINGWAY is one of the programs, beside which the others are; CHROMIUM is the browser; scripts/test sets both.

const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { connect, createServer } = require("node:net");
const { dirname, join } = require("node:path");
const { createInterface } = require("node:readline");
const { chromium } = require("../../../standalone/page/test/node_modules/playwright-core");

const LIMIT_MS = 15000;
const TOKEN = "open-sesame";
const HOSTILE = "<img src=x onerror=\"document.title='hacked'\">\u202e\u0007";

let browser;
const running = new Set();
const at = {};

before(async () => {
  [at.register, at.admin, at.gatewayAdmin, at.workerAdmin] = await freePorts(4);
  await Promise.all([startRegister(), startGateway(), startWorker()]);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  await Promise.all([...running].map((program) => stop(program)));
});

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** Starts a program of the cluster; resolves when it says that it serves. */
async function start(name, flags, env = {}) {
  const common = ["--admin-token", TOKEN, "--secret-key", "secret", "--log-level", "error"];
  const child = spawn(join(dirname(process.env.RINGWAY), name), [...flags, ...common], {
    stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env },
  });
  const program = { child, ended: once(child, "exit") };
  running.add(program);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes("ready: ")) return Object.assign(program, { line });
  }
  throw new Error(`${name} did not start`);
}

async function stop(program, signal = "SIGTERM") {
  running.delete(program);
  program.child.kill(signal);
  await program.ended;
}

async function startRegister() {
  at.program = await start("register", ["--listen", `127.0.0.1:${at.register}`, "--admin", `${at.admin}`]);
}

async function startGateway() {
  const { line } = await start("gateway", ["--register-address", `127.0.0.1:${at.register}`, "--listen", "text://127.0.0.1:0",
    "--start-port", "0", "--count", "1", "--cordon-delay", "0", "--admin", `${at.gatewayAdmin}`]);
  at.clients = Number(/text:\/\/127\.0\.0\.1:(\d+)/.exec(line)[1]);
}

/** Its clients say which of the methods of `Gateway` it is to call. */
async function startWorker() {
  await start("interop-worker", ["--register-address", `127.0.0.1:${at.register}`, "--count", "1", "--admin", `${at.workerAdmin}`],
    { INTEROP_EVENTS: "127.0.0.1:9" });
}

/** A client of the gateway. */
async function client(t) {
  const socket = connect(at.clients, "127.0.0.1");
  const closed = once(socket, "close");
  t.after(() => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value;
  const call = async (op, ...args) => {
    socket.write(`${JSON.stringify({ call: 1, op, args })}\n`);
    return JSON.parse(await next()).result;
  };
  const server = await call("server");
  return { socket, closed, next, call, id: server.GATEWAY_CLIENT_ID };
}

/** The dashboard in a profile of its own, opened with the token. Fails the test if the page has a problem that is not `expected`. */
async function dashboard(t, { token = TOKEN, port = at.admin, expected = /$^/, ...options } = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && !expected.test(message.text()) && problems.push(message.text()));
  page.on("request", (request) => new URL(request.url()).port !== String(port) && problems.push(`asked for ${request.url()}`));
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  if (token) await page.addInitScript((token) => sessionStorage.setItem("ringway-token", token), token);
  await page.goto(`http://127.0.0.1:${port}/`);
  if (token) await live(page);
  return page;
}

const live = (page) => page.locator("#live[data-state=live]").waitFor();
const tile = (page, label, value) => page.locator(".tile", { hasText: label }).locator("b", { hasText: new RegExp(`^${value}$`) }).waitFor();
const memberOf = (page, port) => page.locator(".member", { hasText: `:${port}` });
const found = (page, text) => page.locator("#found", { hasText: text }).waitFor();

async function lookUp(page, who) {
  await page.getByLabel("Client id or uid").fill(who);
  await page.getByLabel("Client id or uid").press("Enter");
}

const REFUSED = /401|ERR_CONNECTION_REFUSED|404/;

test("who has no token is asked for it", async (t) => {
  const page = await dashboard(t, { token: null, expected: REFUSED });
  const dialog = page.getByRole("dialog", { name: "A token is needed" });
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  for (const wrong of ["sesame", "Сезам"]) {
    await dialog.getByLabel("Token").fill(wrong);
    await dialog.getByLabel("Token").press("Enter");
    await dialog.getByText("That is not the token.").waitFor();
  }
  assert.equal(await page.locator("#main").isVisible(), false);
  await dialog.getByLabel("Token").fill(TOKEN);
  await dialog.getByLabel("Token").press("Enter");
  await live(page);
  await page.reload();
  await live(page);
  await page.getByRole("button", { name: "Forget the token" }).click();
  await dialog.waitFor();
});

test("a cluster is shown, and a client that comes and goes", async (t) => {
  const page = await dashboard(t);
  await tile(page, "Members up", "3/3");
  await tile(page, "Clients", "0");
  for (const port of [at.admin, at.gatewayAdmin, at.workerAdmin]) await memberOf(page, port).getByText("up", { exact: true }).waitFor();
  const ann = await client(t);
  await tile(page, "Clients", "1");
  // What it says is seen as a rate.
  await ann.call("joinGroup", ann.id, "lobby");
  await page.locator(".tile", { hasText: "Messages in/s" }).locator("b", { hasText: /^0\.\d\d$/ }).waitFor();
  ann.socket.destroy();
  await tile(page, "Clients", "0");
  assert.equal(await page.title(), "Ringway");
});

test("a client is looked up, sent to and closed", async (t) => {
  const page = await dashboard(t, { expected: /404/ });
  const ann = await client(t);
  await ann.call("bindUid", ann.id, "ann/1");
  await ann.call("joinGroup", ann.id, HOSTILE);
  await ann.call("setSession", ann.id, { name: "<b>Ann</b>" });
  await page.locator("#top-groups bdi", { hasText: "<img src=x onerror=" }).waitFor();
  await lookUp(page, "ann/1");
  await page.getByRole("button", { name: ann.id }).click();
  for (const text of ["online", "ann/1", "<img src=x onerror=", "<b>Ann</b>"]) await found(page, text);
  assert.equal(await page.locator("img, #found b").count(), 0);
  await page.getByLabel("Send to this client").fill("Hello, Ann");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await found(page, "Sent.");
  assert.equal(await ann.next(), "Hello, Ann");
  const close = page.getByRole("button", { name: "Close this client" });
  await close.click();
  await page.getByRole("button", { name: "Cancel" }).press("Enter");
  assert.equal(ann.socket.closed, false);
  await close.click();
  await page.getByRole("button", { name: "Close it" }).click();
  await ann.closed;
  await found(page, "was closed");
  await lookUp(page, ann.id);
  await found(page, "no such client is online");
  await lookUp(page, "nobody");
  await found(page, "No client that is online has this uid");
  for (const impossible of ["..", "."]) {
    await lookUp(page, impossible);
    await found(page, "no URL can have this name");
  }
});

test("a gateway is cordoned and taken back, by the keyboard", async (t) => {
  const page = await dashboard(t);
  const gateway = memberOf(page, at.gatewayAdmin);
  await gateway.getByRole("button").focus();
  await page.keyboard.press("Enter");
  await page.locator(".threads", { hasText: ":0" }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cordon");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await gateway.getByText("cordoned").waitFor();
  await page.getByRole("button", { name: "Uncordon" }).press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Uncordon" }).press("Enter");
  await gateway.getByText("up", { exact: true }).waitFor();
  // All that can be reached can be seen, and has a name.
  const plot = page.getByRole("slider", { name: /^Messages/ });
  await plot.focus();
  await page.keyboard.press("Home");
  const oldest = await plot.getAttribute("aria-valuetext");
  await page.keyboard.press("End");
  assert.notEqual(await plot.getAttribute("aria-valuetext"), oldest);
  assert.match(oldest, /^\d\d:\d\d:\d\d: in .*, out /);
  assert.notEqual(await plot.evaluate((node) => getComputedStyle(node).outlineStyle), "none");
});

test("a phone shows all of it without scrolling sideways, in the dark too", async (t) => {
  const page = await dashboard(t, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
  for (const expand of await page.locator(".expand").all()) await expand.click();
  await page.locator("summary").first().click();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole("button", { name: "Show it light" }).click();
  assert.notEqual(await ground(), dark);
  assert.deepEqual(await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]), [360, 360]);
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, textarea, [tabindex='0']")]
      .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent).trim())
      .map((node) => node.outerHTML));
  assert.deepEqual(unnamed, []);
});

test("a gateway's own page looks and does not act", async (t) => {
  const page = await dashboard(t, { port: at.gatewayAdmin });
  await tile(page, "Members up", "1/1");
  await page.locator("#why-not", { hasText: "the register's page" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Look up" }).isDisabled(), true);
  await page.locator(".expand").click();
  assert.equal(await page.getByRole("button", { name: "Drain" }).isDisabled(), true);
});

test("a server that is gone is said to be, until it is there again", async (t) => {
  const page = await dashboard(t, { expected: REFUSED });
  await stop(at.program, "SIGKILL");
  await page.locator("#banner", { hasText: "The server does not answer" }).waitFor();
  await page.locator("#live", { hasText: "No answer" }).waitFor();
  await startRegister();
  await live(page);
  await page.locator("#banner").waitFor({ state: "hidden" });
  await page.locator("#happened", { hasText: "has started again" }).waitFor();
  await tile(page, "Members up", "3/3");
});
