// The table of members: gateways, workers and registers, each of which opens to its shards or cores.

/** Members on a page of the table. */
const PAGE_SIZE = 25;

/** Shards or cores that a member shows. */
const ROWS_MAX = 64;

const COLUMNS = [
  { key: "id", label: "Member", value: (member) => member.id },
  { key: "state", label: "State", value: (member) => stateOf(member).word },
  { key: "version", label: "Version", value: (member) => member.version, write: known(visible) },
  { key: "uptime", label: "Up for", value: (member) => member.uptime, write: text.duration },
  { key: "memory", label: "Memory", value: (member) => member.memory, write: text.bytes },
  { key: "clients", label: "Clients", value: (member) => member.clients, write: text.count },
  { key: "links", label: "Links", value: (member) => member.links, write: text.count },
  { key: "in", label: "In/s", value: (member) => member.rates.in, write: text.rate },
  { key: "out", label: "Out/s", value: (member) => member.rates.out, write: text.rate },
  { key: "p99", label: "p99", value: (member) => member.p99, write: text.ms },
  { key: "dropped", label: "Dropped/s", value: (member) => member.rates.dropped, write: text.rate },
];

const ROW_COLUMNS = [
  ["name", "Thread", (row) => visible(row.name)],
  ["clients", "Clients", (row) => text.count(row.clients)],
  ["uids", "Uids", (row) => text.count(row.uids)],
  ["groups", "Groups", (row) => text.count(row.groups)],
  ["links", "Links", (row) => text.count(row.links)],
  ["in", "In/s", (row) => text.rate(row.rates?.in)],
  ["out", "Out/s", (row) => text.rate(row.rates?.out)],
  ["dropped", "Dropped/s", (row) => text.rate(row.rates?.dropped)],
];

const KINDS = [
  ["All", () => true],
  ["Gateways", (member) => isOf(member, "gateway")],
  ["Workers", (member) => isOf(member, "worker")],
  ["Trouble", (member) => stateOf(member).bad],
];

/** What a gateway can be told: the verb, whether it is dangerous, and what comes of it. */
const ORDERS = {
  cordon: ["Cordon", false, "It takes no new clients from now on, or after its --cordon-delay. Those that are there are served as ever, and it can be uncordoned."],
  uncordon: ["Uncordon", false, "It takes new clients again."],
  drain: ["Drain", true, "It takes no new clients, and closes those that are there over its --drain-timeout. They are expected to connect to other gateways."],
};

const isOf = (member, kind) => member.program === kind || member.rows.some((row) => row.kind === kind);

const members = {
  history: null,
  kind: 0,
  filter: "",
  page: 0,
  sort: null,
  open: new Set(),
  rows: new Keyed(),

  begin() {
    this.heads = COLUMNS.map((column) => {
      const button = html("button", { type: "button", onclick: () => this.sortBy(column) }, column.label);
      return { column, node: html("th", { class: `c-${column.key}`, scope: "col", role: "columnheader" }, button) };
    });
    $("columns").append(...this.heads.map(({ node }) => node));
    this.kinds = KINDS.map(([label], index) => {
      const count = html("small");
      const choose = () => this.turn({ kind: index, page: 0 });
      return { count, node: html("button", { type: "button", onclick: choose }, label, " ", count) };
    });
    $("kinds").append(...this.kinds.map(({ node }) => node));
    $("filter").addEventListener("input", () => this.turn({ filter: $("filter").value.trim().toLowerCase(), page: 0 }));
    $("previous").addEventListener("click", () => this.turn({ page: this.page - 1 }));
    $("next").addEventListener("click", () => this.turn({ page: this.page + 1 }));
  },

  turn(changes) {
    Object.assign(this, changes);
    if (this.history) this.draw(this.history);
  },

  /** Numbers go down first, words up; the third time it is the order in which they were told. */
  sortBy(column) {
    const first = column.write && column.key !== "version" ? -1 : 1;
    const again = this.sort?.column === column;
    if (again && this.sort.direction !== first) return this.turn({ sort: null });
    this.turn({ sort: { column, direction: again ? -first : first } });
  },

  draw(history) {
    this.history = history;
    const all = history.members;
    this.kinds.forEach(({ node, count }, index) => {
      setText(count, String(all.filter(KINDS[index][1]).length));
      setAttribute(node, "aria-pressed", index === this.kind);
    });
    for (const { column, node } of this.heads) {
      const direction = this.sort?.column === column ? (this.sort.direction > 0 ? "ascending" : "descending") : null;
      setAttribute(node, "aria-sort", direction);
    }
    const shown = this.sorted(all.filter(KINDS[this.kind][1]).filter((member) => member.id.toLowerCase().includes(this.filter)));
    const last = Math.max(Math.ceil(shown.length / PAGE_SIZE) - 1, 0);
    this.page = Math.min(Math.max(this.page, 0), last);
    const from = this.page * PAGE_SIZE;
    const now = shown.slice(from, from + PAGE_SIZE);
    this.rows.show($("rows"), now, (member) => member.id, () => new MemberRow());
    this.tell(all, shown, from, last);
  },

  tell(all, shown, from, last) {
    setText($("members-count"), shown.length === all.length ? text.count(all.length) : `${shown.length} of ${all.length}`);
    setText($("no-members"), all.length === 0 ? "Nobody is here." : KINDS[this.kind][0] === "Trouble" && !this.filter ? "Nobody is in trouble." : "No member is like that.");
    $("no-members").hidden = shown.length > 0;
    $("pages").hidden = last === 0;
    setText($("page"), `${from + 1} – ${Math.min(from + PAGE_SIZE, shown.length)} of ${shown.length}`);
    $("previous").disabled = this.page === 0;
    $("next").disabled = this.page === last;
    const more = unseen(this.history);
    setText($("unseen"), more);
    $("unseen").hidden = more === "";
  },

  sorted(shown) {
    if (!this.sort) return shown;
    const { column, direction } = this.sort;
    const order = (one, other) => (typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
    // What is not known stands last.
    const unknown = (value) => value === null || value === undefined;
    return [...shown].sort((one, other) => {
      const [a, b] = [column.value(one), column.value(other)];
      return unknown(a) || unknown(b) ? unknown(a) - unknown(b) : direction * order(a, b);
    });
  },
};

/** A member's line in the table, and what it opens to. */
class MemberRow {
  constructor() {
    this.id = html("bdi");
    this.program = html("small");
    this.button = html("button", { class: "expand", type: "button", "aria-expanded": "false", onclick: () => this.toggle() }, this.id, this.program);
    this.state = html("span", { class: "state" });
    this.cells = COLUMNS.map((column) => html("td", { class: `c-${column.key}`, role: "cell", "data-label": column.label }));
    this.cells[0].append(this.button);
    this.cells[1].append(this.state);
    this.line = html("tr", { class: "member", role: "row" }, ...this.cells);
    this.detail = null;
  }

  get nodes() {
    return this.detail ? [this.line, this.detail.node] : [this.line];
  }

  toggle() {
    const { id } = this.member;
    if (!members.open.delete(id)) members.open.add(id);
    members.turn({});
  }

  draw(member) {
    this.member = member;
    setText(this.id, visible(member.id));
    setText(this.program, member.here ? `${member.program} · this one` : member.program);
    const state = stateOf(member);
    setText(this.state, state.word);
    setAttribute(this.state, "data-state", state.bad ? "bad" : state.word === "up" ? "up" : "meant");
    COLUMNS.forEach((column, index) => column.write && setText(this.cells[index], column.write(column.value(member))));
    this.cells.at(-1).classList.toggle("bad", member.rates.dropped > 0);
    const isOpen = members.open.has(member.id);
    setAttribute(this.button, "aria-expanded", isOpen);
    if (!isOpen) this.detail = null;
    else (this.detail ??= new Detail()).draw(member, state);
  }
}

/** What is known of a member beyond its line. */
class Detail {
  constructor() {
    this.notes = html("ul", { class: "notes" });
    this.facts = html("p", { class: "facts" });
    this.rows = html("tbody");
    this.more = html("p", { class: "quiet" });
    const heads = ROW_COLUMNS.map(([key, label]) => html("th", { class: `r-${key}`, scope: "col" }, label));
    this.table = html("table", { class: "threads" }, html("thead", {}, html("tr", {}, ...heads)), this.rows);
    this.counters = html("ul", { class: "counters" });
    this.all = html("details", {}, html("summary", {}, "Everything that is counted"), this.counters);
    this.orders = html("p", { class: "actions" });
    this.cell = html("td", { colspan: String(COLUMNS.length), role: "cell" }, this.notes, this.facts, this.orders, this.table, this.more, this.all);
    this.node = html("tr", { class: "detail", role: "row" }, this.cell);
    this.lines = new Keyed();
    this.counts = new Keyed();
    this.all.addEventListener("toggle", () => this.member && this.count(this.member));
  }

  draw(member, state) {
    this.member = member;
    this.note(member, state);
    const facts = [member.pid && `pid ${member.pid}`, member.version && `version ${visible(member.version)}`, member.answers && `up for ${text.duration(member.uptime)}`,
      member.answers && `${text.bytes(member.memory)} of memory`, member.answers && plural(member.links, "link"), ...new Set(member.rows.map((row) => row.listen && `at ${visible(row.listen)}`))];
    setText(this.facts, facts.filter(Boolean).join(" · "));
    this.order(member, state);
    this.table.hidden = this.all.hidden = member.rows.length === 0;
    this.lines.show(this.rows, member.rows.slice(0, ROWS_MAX), (row) => row.name, () => new ThreadRow());
    setText(this.more, member.rows.length > ROWS_MAX ? `and ${plural(member.rows.length - ROWS_MAX, "more thread", "more threads")}` : "");
    this.count(member);
  }

  note(member, state) {
    const notes = member.answers ? saidOf(member) : [member.problem ?? UNREACHED];
    setAttribute(this.notes, "data-state", state.bad ? "bad" : "meant");
    if (this.noted === notes.join("\n")) return;
    this.noted = notes.join("\n");
    this.notes.replaceChildren(...notes.map((note) => html("li", {}, named(note))));
  }

  order(member, state) {
    if (!isOf(member, "gateway")) return;
    const isClosed = ["cordoned", "drained"].includes(state.word) || member.faults.some((fault) => /cordoned|drained/.test(fault));
    const wanted = isClosed ? ["uncordon", "drain"] : ["cordon", "drain"];
    const why = reasonNotToAct();
    const key = `${wanted} ${why}`;
    if (this.ordered === key) return;
    this.ordered = key;
    const button = (order) => html("button", { type: "button", class: ORDERS[order][1] ? "danger" : "", disabled: why !== "", onclick: () => giveOrder(this.member, order) }, ORDERS[order][0]);
    this.orders.replaceChildren(...wanted.map(button), html("span", { class: "quiet" }, why));
  }

  /** Many, so only while somebody looks at them. */
  count(member) {
    if (!this.all.open) return;
    const totals = new Map();
    for (const row of member.rows) {
      const { kind, before } = row;
      for (const [counter, count] of Object.entries(row.counters)) {
        const total = totals.get(`${kind}.${counter}`) ?? { key: `${kind}.${counter}`, counter, kind, count: 0, rate: 0 };
        totals.set(total.key, total);
        total.count += number(count);
        total.rate += before ? growth(row, counter) / before.seconds : 0;
      }
    }
    const shown = [...totals.values()].filter(({ count }) => count > 0);
    this.counts.show(this.counters, shown, ({ key }) => key, () => new CounterRow());
  }
}

class ThreadRow {
  constructor() {
    this.cells = ROW_COLUMNS.map(([key, label]) => html("td", { class: `r-${key}`, "data-label": label }));
    this.nodes = [html("tr", {}, ...this.cells)];
  }

  draw(row) {
    ROW_COLUMNS.forEach(([, , write], index) => setText(this.cells[index], write(row)));
    this.cells.at(-1).classList.toggle("bad", row.rates?.dropped > 0);
  }
}

class CounterRow {
  constructor() {
    [this.counter, this.count, this.rate] = [html("span"), html("b"), html("small")];
    this.nodes = [html("li", {}, this.counter, this.count, this.rate)];
  }

  draw({ counter, kind, count, rate }) {
    setText(this.counter, visible(counter));
    setAttribute(this.counter, "title", kind);
    setText(this.count, text.count(count));
    setText(this.rate, rate > 0 ? `+${text.rate(rate)}/s` : "");
  }
}
