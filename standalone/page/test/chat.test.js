"use strict";
// The chat page in a real browser, against a real `ringway`: register, gateway, worker and page.
// RINGWAY is the program, CHROMIUM the browser; scripts/test sets both.

const { test, before, after } = require("node:test");
const assert = require("node:assert/strict");
const { execFile, spawn } = require("node:child_process");
const { mkdtemp, rm } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const { dirname, join } = require("node:path");
const { promisify } = require("node:util");
const { once } = require("node:events");
const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");

const LIMIT_MS = 20000;

let browser;
let ringway;

before(async () => {
  ringway = await startRingway("127.0.0.1:0", "127.0.0.1:0");
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});

after(async () => {
  await browser?.close();
  if (ringway) await stopRingway(ringway);
});

async function startRingway(page, websocket, scheme = "websocket", more = []) {
  const flags = ["--page", page, "--listen", `${scheme}://${websocket}`, "--count", "2", "--log-level", "warn", ...more];
  const child = spawn(process.env.RINGWAY, flags, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = /ready: open http:\/\/(\S+) \(websocket ([^,]+),(?:.* register (\S+)\))?/.exec(line);
    if (ready) return { child, ended, page: ready[1], websocket: ready[2], register: ready[3] };
  }
  throw new Error("ringway did not start");
}

async function stopRingway({ child, ended }) {
  child.kill("SIGINT");
  const [code] = await ended;
  assert.equal(code, 0);
}

/** A guest: one window of a browser profile of its own. Fails the test if the page reports a problem. */
async function guest(t, name, room, { server = ringway, ...options } = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && page.problems.push(message.text()));
  page.on("request", (request) => {
    if (new URL(request.url()).host !== server.page) page.problems.push(`asked for ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(page.problems, [], `${name}'s page`);
  });
  await page.goto(`http://${server.page}/#${room}`);
  await page.getByRole("textbox", { name: "Your name" }).fill(name);
  await page.getByRole("button", { name: "Start to chat" }).click();
  await online(page);
  return page;
}

const online = (page) => page.locator("#state[data-state=open]").waitFor({ state: "attached" });

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

const bubble = (page, text) => page.locator("#log .bubble", { hasText: text });
const heard = (page, text) => bubble(page, text).waitFor();
const noted = (page, text) => page.locator("#log .note", { hasText: text }).waitFor();
const person = (page, name) => page.locator("#people .row", { hasText: name });
const talkTo = (page, name) => person(page, name).getByRole("button").click();
const openRoom = (page, room) => page.locator(`#rooms [data-key="room:${room}"]`).click();

test("two pages in one room see each other and what they say", async (t) => {
  const ann = await guest(t, "Ann", "tea");
  const bo = await guest(t, "Bo", "tea");
  await person(ann, "Bo").waitFor();
  await person(bo, "Ann").waitFor();
  await noted(ann, "Bo came in");
  await say(ann, "Hello, Bo");
  await heard(bo, "Hello, Bo");
  await heard(ann, "Hello, Bo");
  await say(bo, "<b>bold</b><script>document.title = 'hacked'</script>");
  await heard(ann, "<b>bold</b><script>");
  assert.equal(await ann.locator("#log b", { hasText: "bold" }).count(), 0);
  assert.match(await ann.title(), /#tea/);
});

test("one closes and the other sees it", async (t) => {
  const ann = await guest(t, "Ann", "closing");
  const bo = await guest(t, "Bo", "closing");
  await person(ann, "Bo").waitFor();
  await bo.close();
  await noted(ann, "Bo left");
  await person(ann, "Bo").waitFor({ state: "detached" });
  assert.equal(await ann.locator("#subtitle").textContent(), "Only you are here");
});

test("a private message reaches one alone", async (t) => {
  const ann = await guest(t, "Ann", "private");
  const bo = await guest(t, "Bo", "private");
  const cleo = await guest(t, "Cleo", "private");
  await person(ann, "Bo").getByRole("button").click();
  await say(ann, "Between us");
  await heard(ann, "Between us");
  await bo.locator("#privates .badge").waitFor();
  assert.match(await bo.title(), /^\(1\)/);
  await bo.locator("#privates .row", { hasText: "Ann" }).getByRole("button").first().click();
  await heard(bo, "Between us");
  await bo.locator("#privates .badge").waitFor({ state: "detached" });
  await say(bo, "Indeed");
  await heard(ann, "Indeed");
  // Had it gone to Cleo too, it would have come before this.
  await openRoom(ann, "private");
  await say(ann, "To all");
  await heard(cleo, "To all");
  assert.equal(await cleo.locator("#privates .row").count(), 0);
  assert.equal(await bubble(cleo, "Between us").count(), 0);
  // Somebody who is gone cannot be reached, and the page says so.
  await bo.close();
  await noted(ann, "Bo left");
  await ann.locator("#privates .row", { hasText: "Bo" }).getByRole("button").first().click();
  await say(ann, "Still there?");
  await noted(ann, "Bo is not online. Your message did not arrive.");
});

test("a private conversation goes on with a name, over a new connection", async (t) => {
  const ann = await guest(t, "Ann", "lasting");
  const bo = await guest(t, "Bo", "lasting");
  await talkTo(ann, "Bo");
  await say(ann, "Before");
  await heard(ann, "Before");
  await bo.locator("#privates .badge").waitFor();
  // A tab that is loaded again remembers the name, and nothing else.
  await bo.reload();
  await online(bo);
  await say(ann, "After");
  await bo.locator("#privates .row", { hasText: "Ann" }).getByRole("button").first().click();
  await heard(bo, "After");
  await say(bo, "Here I am");
  await heard(ann, "Here I am");
  await heard(ann, "Before");
  assert.equal(await ann.locator("#privates .row").count(), 1);
});

test("two windows of one name are one person", async (t) => {
  const ann = await guest(t, "Ann", "windows");
  const bo = await guest(t, "Bo", "windows");
  await person(ann, "Bo").waitFor();
  const other = await guest(t, "Bo", "windows");
  await noted(other, "Somebody is online as Bo already");
  await person(other, "Ann").waitFor();
  await talkTo(ann, "Bo");
  await say(ann, "To both of you");
  for (const page of [bo, other]) {
    await page.locator("#privates .row", { hasText: "Ann" }).getByRole("button").first().click();
    await heard(page, "To both of you");
  }
  await say(other, "From one of us");
  await heard(ann, "From one of us");
  // What one window says, the other one shows as its own.
  await bo.locator("#log .mine", { hasText: "From one of us" }).waitFor();
  await openRoom(ann, "windows");
  assert.equal(await person(ann, "Bo").count(), 1);
  assert.equal(await ann.locator("#subtitle").textContent(), "2 people are here");
  // One of the two goes: Bo is still there.
  await other.close();
  await say(bo, "In private still");
  await openRoom(bo, "windows");
  await say(bo, "And in the room");
  await heard(ann, "And in the room");
  assert.equal(await person(ann, "Bo").count(), 1);
  assert.equal(await ann.locator("#log .note", { hasText: "Bo left" }).count(), 0);
  await bo.close();
  await noted(ann, "Bo left");
});

test("a name that cannot be had is asked for again", async (t) => {
  const ann = await guest(t, "Ann", "refused");
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://${ringway.page}/#refused`);
  const name = page.getByRole("textbox", { name: "Your name" });
  await name.fill("0");
  await name.press("Enter");
  await page.locator("#problem", { hasText: "A name has" }).waitFor({ state: "attached" });
  await name.fill("Zero");
  await name.press("Enter");
  await online(page);
  await person(ann, "Zero").waitFor();
  // Once inside, one keeps the name that one has.
  await page.getByRole("button", { name: "Change your name" }).first().click();
  await name.fill("0");
  await name.press("Enter");
  await page.locator("#problem", { hasText: "A name has" }).waitFor();
  assert.equal(await page.locator("#my-name").textContent(), "Zero");
});

test("rooms are opened, switched and left, and what is unread is marked", async (t) => {
  const ann = await guest(t, "Ann", "first");
  const bo = await guest(t, "Bo", "first");
  await ann.getByLabel("Name of a room to open").fill("Second Room");
  await ann.getByLabel("Name of a room to open").press("Enter");
  await ann.getByRole("heading", { name: "# second-room" }).waitFor();
  await bo.locator('#rooms [data-key="room:second-room"]').waitFor();
  await say(bo, "Are you there?");
  await ann.locator("#rooms .row", { hasText: "first" }).locator(".badge", { hasText: "1" }).waitFor();
  await openRoom(ann, "first");
  await ann.locator("#log .divider").waitFor();
  await heard(ann, "Are you there?");
  await ann.locator("#rooms .badge").waitFor({ state: "detached" });
  await ann.locator("#rooms .row", { hasText: "second-room" }).hover();
  await ann.getByRole("button", { name: "Leave the room second-room" }).click();
  await ann.locator("#rooms .row.quiet", { hasText: "second-room" }).waitFor();
});

// This server keeps nothing; the page is told by hand what one with a history says (examples/chat_with_history).
test("what was said before stands where it belongs, once", async (t) => {
  const ann = await guest(t, "Ann", "history");
  const said = (number) => ({ number, at: Date.UTC(2026, 0, 2, 3, number), from: { id: "b0", name: "Bo" }, text: `line ${number}` });
  const tell = (lines, away) => ann.evaluate(([lines, away]) => handlers.history({ room: "history", lines, away }), [lines, away]);
  const log = () => ann.locator("#log .bubble").allTextContents();
  await ann.evaluate((live) => handlers.message({ room: "history", ...live }), said(4));
  await tell([1, 2].map(said));
  assert.deepEqual(await log(), ["line 1", "line 2", "line 4"]);
  await tell([2, 3, 4, 5].map(said));
  assert.deepEqual(await log(), ["line 1", "line 2", "line 3", "line 4", "line 5"]);
  assert.equal(await ann.locator("#log time").first().getAttribute("datetime"), "2026-01-02T03:01:00.000Z");
  await tell([], true);
  await noted(ann, "cannot be shown");
  await say(ann, "Still here");
  await heard(ann, "Still here");
});

test("what another program pushes to a name is shown", async (t) => {
  const server = await startRingway("127.0.0.1:0", "127.0.0.1:0", "websocket", ["--register-listen", "127.0.0.1:0"]);
  t.after(() => stopRingway(server));
  const ann = await guest(t, "Ann", "pushed", { server });
  const bo = await guest(t, "Bo", "pushed", { server });
  const program = join(dirname(process.env.RINGWAY), "examples", "push_http");
  const pusher = spawn(program, ["--register-address", server.register, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => pusher.kill());
  const [line] = await once(createInterface({ input: pusher.stdout }), "line");
  const push = (uid, body) => fetch(`${line.replace("listening on ", "")}/push/${uid}`, { method: "POST", body });
  for (const body of ["<i>shipped</i>", "[1, 2]"]) {
    assert.equal((await push("Ann", body)).status, 200);
    await noted(ann, `Pushed to you: ${body}`);
  }
  await say(ann, "Something came for me");
  await heard(bo, "Something came for me");
  assert.equal(await bo.locator("#log .note", { hasText: "Pushed" }).count(), 0);
  // Before the server ends, which they would notice.
  await ann.context().close();
  await bo.context().close();
});

test("another name is seen by the others", async (t) => {
  const ann = await guest(t, "Ann", "names");
  const bo = await guest(t, "Bo", "names");
  await ann.getByRole("button", { name: "Change your name" }).first().click();
  await ann.getByRole("textbox", { name: "Your name" }).fill("Anna");
  await ann.getByRole("textbox", { name: "Your name" }).press("Enter");
  await noted(bo, "Ann is now Anna");
  await person(bo, "Anna").waitFor();
});

test("a phone shows one thing at a time", async (t) => {
  const ann = await guest(t, "Ann", "phone", { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
  const rooms = ann.getByRole("navigation", { name: "Conversations" });
  assert.equal(await rooms.isVisible(), false);
  await ann.getByRole("button", { name: "Show the list of rooms" }).click();
  await rooms.getByText("phone").waitFor();
  await ann.keyboard.press("Escape");
  await rooms.waitFor({ state: "hidden" });
  await ann.getByRole("button", { name: "Show who is online" }).click();
  await person(ann, "Ann").waitFor();
  const wider = await ann.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wider, false, "the page is wider than the phone");
});

test("everything that can be pressed or filled in has a name", async (t) => {
  const ann = await guest(t, "Ann", "labels");
  const unnamed = await ann.evaluate(() =>
    [...document.querySelectorAll("button, input, textarea")]
      .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent).trim())
      .map((node) => node.outerHTML));
  assert.deepEqual(unnamed, []);
});

test("pages talk over wss", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "ringway-page-"));
  t.after(() => rm(folder, { recursive: true }));
  const [cert, key] = [join(folder, "server.pem"), join(folder, "server.key")];
  await promisify(execFile)("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", cert, "-keyout", key,
  ]);
  const server = await startRingway("127.0.0.1:0", "127.0.0.1:0", "wss", ["--tls-cert", cert, "--tls-key", key]);
  t.after(() => stopRingway(server));
  const ann = await guest(t, "Ann", "secure", { server, ignoreHTTPSErrors: true });
  const bo = await guest(t, "Bo", "secure", { server, ignoreHTTPSErrors: true });
  await person(ann, "Bo").waitFor();
  await say(ann, "Nobody listens");
  await heard(bo, "Nobody listens");
  await say(bo, "x".repeat(1500));
  await heard(ann, "x".repeat(1500));
  // Before the server ends, which they would notice.
  await ann.context().close();
  await bo.context().close();
});

test("pages come back when the server does", async (t) => {
  const ann = await guest(t, "Ann", "restart");
  const bo = await guest(t, "Bo", "restart");
  await person(ann, "Bo").waitFor();
  await stopRingway(ringway);
  for (const page of [ann, bo]) {
    await page.locator("#banner").waitFor();
    assert.equal(await page.locator("#send").isDisabled(), true);
  }
  ringway = await startRingway(ringway.page, ringway.websocket);
  for (const page of [ann, bo]) {
    await online(page);
    await page.locator("#banner").waitFor({ state: "hidden" });
    await noted(page, "Connected again");
  }
  await person(ann, "Bo").waitFor();
  await person(bo, "Ann").waitFor();
  await say(ann, "We are back");
  await heard(bo, "We are back");
  // That nobody answered for a while is what this test is about.
  for (const page of [ann, bo]) {
    page.problems = page.problems.filter((problem) => !problem.includes("ERR_CONNECTION_REFUSED"));
  }
});
