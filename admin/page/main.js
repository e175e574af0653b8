// Asks the server every other second, and has everything drawn that it answers.

const POLL_MS = 2000;

/** How long a server that takes its time is left alone. */
const SHORTEST_MS = 250;

/** How long an answer is waited for. */
const ANSWER_MS = 8000;

/** How long it stands what came of an order. */
const SAID_MS = 10 * 1000;

/** Why something was not done, in a line. */
class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** What the browser remembers; some browsers let no page remember anything. */
function remembered(storage, key, value) {
  try {
    if (value === undefined) return window[storage].getItem(key);
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    // Then it is asked for again.
  }
  return value ?? null;
}

const token = {
  value: null,

  begin() {
    this.value = remembered("sessionStorage", "ringway-token");
    $("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.say($("token").value);
    });
    // Without it there is nothing to see.
    $("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
    $("forget").addEventListener("click", () => this.forget());
    $("forget").hidden = this.value === null;
  },

  say(value) {
    $("token").value = "";
    if (!/^[\x21-\x7e]+$/.test(value)) return setText($("token-problem"), "That is not the token.");
    this.value = value;
    $("token-dialog").close();
    poll.now();
  },

  /** It worked. */
  keep() {
    if (this.value === null) return;
    remembered("sessionStorage", "ringway-token", this.value);
    $("forget").hidden = false;
  },

  forget() {
    remembered("sessionStorage", "ringway-token", null);
    location.reload();
  },

  askFor() {
    setText($("token-problem"), this.value === null ? "" : "That is not the token.");
    this.value = null;
    remembered("sessionStorage", "ringway-token", null);
    $("forget").hidden = true;
    if ($("confirm").open) $("confirm").close("no");
    if (!$("token-dialog").open) $("token-dialog").showModal();
  },
};

/** Asks the server for something, and resolves to what it answers. */
async function ask(method, where, { body } = {}) {
  const headers = token.value === null ? {} : { Authorization: `Bearer ${token.value}` };
  let answer;
  try {
    answer = await fetch(where, { method, body, headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Problem("the server does not answer");
  }
  if (answer.status === 401) token.askFor();
  const said = await answer.text().catch(() => "");
  const told = parsed(said);
  if (!answer.ok) throw new Problem(told?.error ?? (said.trim().slice(0, 200) || `the server answers ${answer.status}`), answer.status);
  if (told === null) throw new Problem("the server answers something else than expected");
  return told;
}

function parsed(said) {
  try {
    const told = JSON.parse(said);
    return typeof told === "object" ? told : null;
  } catch {
    return null;
  }
}

const poll = {
  history: new History(Object.keys(WATCHED)),
  timer: 0,
  isAsking: false,
  began: 0,
  failedAt: null,

  begin() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.later(0)));
    this.now();
  },

  rest() {
    clearTimeout(this.timer);
    show("paused", "Paused");
  },

  async now() {
    clearTimeout(this.timer);
    if (this.isAsking || document.hidden || $("token-dialog").open) return;
    this.isAsking = true;
    this.began = performance.now();
    try {
      const answer = await ask("GET", "cluster");
      // Of a clock that is never set.
      this.history.take(answer, performance.timeOrigin + performance.now());
      this.succeed();
    } catch (problem) {
      this.fail(problem);
    } finally {
      this.isAsking = false;
      if (document.hidden) this.rest();
      else this.later(SHORTEST_MS);
    }
  },

  /** A period after it was asked last, but not before `least` is over: rates over less would tremble. */
  later(least) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), Math.max(this.began + POLL_MS - performance.now(), least));
  },

  succeed() {
    token.keep();
    if (this.failedAt !== null) announce("The server answers again");
    this.failedAt = null;
    show("live", "Live");
    if (!banner.isSaying) banner.hide();
    $("main").removeAttribute("aria-busy");
    document.body.dataset.stale = "no";
    overview.draw(this.history);
    members.draw(this.history);
    clients.draw();
  },

  fail(problem) {
    if (problem.status === 401) return show("waiting", "Waits for a token");
    this.failedAt ??= Date.now();
    if (this.history.samples.length > 0) document.body.dataset.stale = "yes";
    show("lost", "No answer");
    banner.show(`${capital(problem.message)}, since ${clock(this.failedAt)}. It is asked again every 2 s; what stands here is from before.`);
    // A bug of this page, which goes on with the next answer.
    if (!(problem instanceof Problem)) throw problem;
  },
};

const capital = (sentence) => sentence.slice(0, 1).toUpperCase() + sentence.slice(1);

function show(state, words) {
  setAttribute($("live"), "data-state", state);
  setText($("live"), words);
}

const banner = {
  isSaying: false,

  show(words, { meant = false } = {}) {
    const node = $("banner");
    setAttribute(node, "data-state", meant ? "meant" : "bad");
    if (node.hidden || meant) announce(words);
    setText(node, visible(words));
    node.hidden = false;
  },

  hide() {
    $("banner").hidden = true;
  },
};

/** Says for a while what came of an order. */
function say(words, { bad = false } = {}) {
  banner.isSaying = true;
  banner.show(words, { meant: !bad });
  clearTimeout(banner.timer);
  banner.timer = setTimeout(() => {
    banner.isSaying = false;
    if (poll.failedAt === null) banner.hide();
  }, SAID_MS);
}

const theme = {
  begin() {
    this.set(remembered("localStorage", "ringway-theme"));
    $("theme").addEventListener("click", () => this.set(this.isDark() ? "light" : "dark"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.label());
  },

  isDark() {
    return (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  },

  set(value) {
    if (value === "dark" || value === "light") {
      document.documentElement.dataset.theme = value;
      remembered("localStorage", "ringway-theme", value);
    }
    this.label();
  },

  label() {
    const label = this.isDark() ? "Show it light" : "Show it dark";
    setAttribute($("theme"), "aria-label", label);
    setAttribute($("theme"), "title", label);
  },
};

for (const part of [theme, token, overview, members, clients, poll]) part.begin();
