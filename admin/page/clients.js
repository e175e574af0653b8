// What is asked and told by hand: a client or a uid, and orders for gateways.

/** Clients of a uid, and groups of a client, that are named. */
const NAMES_MAX = 100;

/** Characters of a session that are shown. */
const SESSION_MAX = 20000;

const CLIENT_ID = /^[0-9a-f]{20}$/i;

/** Why nothing can be asked or told; nothing if it can. */
const reasonNotToAct = () => {
  const history = members.history;
  return !history || history.mayAct ? "" : history.whyNot || "this page may only look";
};

/** A path of parts that others chose. No URL can have `.` or `..` as a part. */
function path(...parts) {
  if (parts.some((part) => /^\.{0,2}$/.test(part))) throw new Problem("no URL can have this name");
  return parts.map((part) => encodeURIComponent(part.toWellFormed())).join("/");
}

const clients = {
  begin() {
    $("look-up").addEventListener("submit", (event) => {
      event.preventDefault();
      this.lookUp($("who").value.trim());
    });
  },

  draw() {
    const why = reasonNotToAct();
    setText($("why-not"), why && `To look up and act: ${why}.`);
    $("why-not").hidden = why === "";
    for (const field of $("look-up").elements) field.disabled = why !== "";
  },

  show(...nodes) {
    $("found").replaceChildren(...nodes);
  },

  async lookUp(who) {
    $("who").value = who;
    this.show(html("p", { class: "quiet" }, "Looking…"));
    const asked = (this.asked = {});
    try {
      const found = await this.find(who);
      if (this.asked !== asked) return;
      if (found.clients) this.showUid(found);
      else this.showClient(found);
    } catch (problem) {
      if (this.asked === asked) this.show(html("p", { class: problem.status === 404 ? "quiet" : "bad" }, named(problem.message)));
    }
  },

  /** An id goes before a uid that looks like one. */
  async find(who) {
    if (!CLIENT_ID.test(who)) return ask("GET", path("uid", who));
    try {
      return await ask("GET", path("client", who.toLowerCase()));
    } catch (problem) {
      const found = await ask("GET", path("uid", who));
      if (found.clients.length === 0) throw problem;
      return found;
    }
  },

  showUid({ uid, clients: ids, count = ids.length, missing = [] }) {
    const silent = missing.length > 0 ? [html("p", { class: "bad" }, `${plural(missing.length, "gateway")} did not answer: `, named(missing.join(", ")))] : [];
    if (count === 0) return this.show(html("p", { class: "quiet" }, "No client that is online has this uid."), ...silent);
    const shown = ids.slice(0, NAMES_MAX);
    this.show(
      html("h3", {}, "uid ", named(uid)),
      html("p", { class: "quiet" }, `${plural(count, "client")} online`), ...silent,
      html("ul", { class: "ids" }, ...shown.map((id) => html("li", {}, this.link(id))),
        count > shown.length ? html("li", { class: "quiet" }, `and ${text.count(count - shown.length)} more`) : ""),
      this.sender("Send to all clients of this uid", () => path("uid", uid, "send")),
    );
  },

  showClient(client) {
    const { id, uid, groups, session, gateway } = client;
    const fact = (label, ...what) => [html("dt", {}, label), html("dd", {}, ...what)];
    const chip = (group) => html("li", {}, named(group));
    const more = groups.length > NAMES_MAX ? [html("li", {}, `and ${text.count(groups.length - NAMES_MAX)} more`)] : [];
    const chips = groups.length > 0 ? html("ul", { class: "chips" }, ...groups.slice(0, NAMES_MAX).map(chip), ...more) : NONE;
    this.show(
      html("h3", {}, html("code", {}, visible(id)), " ", html("span", { class: "state", "data-state": "up" }, "online")),
      html("dl", {},
        ...fact("uid", uid === null || uid === undefined ? NONE : this.link(uid)),
        ...fact("gateway", named(gateway)),
        ...fact("groups", chips),
        ...fact("session", html("pre", { tabindex: "0", "aria-label": "session" }, shownSession(session)))),
      this.sender("Send to this client", () => path("client", id, "send")),
      html("p", { class: "actions" }, html("button", { class: "danger", type: "button", onclick: () => this.close(id) }, "Close this client…")),
    );
  },

  link(who) {
    return html("button", { class: "link", type: "button", onclick: () => this.lookUp(String(who)) }, named(who));
  },

  /** A form that sends a text, and says what came of it. */
  sender(label, where) {
    const field = html("textarea", { rows: "2", "aria-label": label, placeholder: label, dir: "auto", required: true });
    const answer = html("span", { class: "quiet", role: "status" });
    const submit = async (event) => {
      event.preventDefault();
      await told(answer, async () => {
        await ask("POST", where(), { body: field.value });
        field.value = "";
        return "Sent.";
      });
    };
    return html("form", { class: "sender", onsubmit: submit }, field, html("p", { class: "actions" }, html("button", { type: "submit" }, "Send"), answer));
  },

  async close(id) {
    const isMeant = await confirmed(`Close ${id}?`, "The connection of this client is closed. Most clients connect again by themselves.", "Close it", { bad: true });
    if (!isMeant) return;
    const answer = html("p", { class: "quiet", role: "status" });
    this.show(answer);
    await told(answer, async () => {
      await ask("POST", path("client", id, "close"));
      return `Client ${id} was closed.`;
    });
    $("who").focus();
  },
};

/** Does something and says in `answer` what came of it. */
async function told(answer, work) {
  answer.classList.remove("bad");
  setText(answer, "…");
  try {
    setText(answer, await work());
  } catch (problem) {
    answer.classList.add("bad");
    setText(answer, visible(problem.message));
  }
}

function shownSession(session) {
  if (session === null || session === undefined || session === "") return NONE;
  const whole = typeof session === "string" ? session : JSON.stringify(session, null, 2);
  const lines = whole.slice(0, SESSION_MAX).split("\n").map(visible).join("\n");
  return whole.length > SESSION_MAX ? `${lines}\n… and ${text.count(whole.length - SESSION_MAX)} characters more` : lines;
}

async function giveOrder(member, order) {
  const [verb, bad, what] = ORDERS[order];
  if (!(await confirmed(`${verb} ${visible(member.id)}?`, what, verb, { bad }))) return;
  try {
    const { done } = await ask("POST", path("member", member.id, order));
    say(`${member.id}: ${done}`);
  } catch (problem) {
    say(`${member.id}: ${problem.message}`, { bad: true });
  }
}
