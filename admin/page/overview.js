// What a cluster is like as a whole: tiles, plots, troubles, groups and what happened.

/** Groups that are shown. */
const GROUPS_MAX = 20;

/** Troubles that are shown; who has more looks at the members. */
const PROBLEMS_MAX = 8;

/** Things that happened which are shown. */
const HAPPENED_MAX = 12;

const peak = (history, key) => history.samples.reduce((most, sample) => (sample[key] === null ? most : Math.max(most ?? 0, sample[key])), null);
const upOf = (history) => history.members.filter((member) => !stateOf(member).bad).length;

/** A label, the number, what is said below it, and whether it is trouble. */
const TILES = [
  ["Clients", ({ now }) => text.count(now.clients), (history) => `peak ${text.count(peak(history, "clients"))}`],
  ["Messages in/s", ({ now }) => text.rate(now.in), (history) => `peak ${text.rate(peak(history, "in"))}`],
  ["Messages out/s", ({ now }) => text.rate(now.out), (history) => `peak ${text.rate(peak(history, "out"))}`],
  ["Latency p50", ({ now }) => text.ms(now.p50), ({ now }) => (now.p50 === null ? "no event measured" : "half of all events")],
  ["Latency p99", ({ now }) => text.ms(now.p99), ({ now }) => (now.p99 === null ? "no event measured" : "99 of 100 events")],
  ["Dropped/s", ({ now }) => text.rate(now.dropped), (history) => `peak ${text.rate(peak(history, "dropped"))}`, ({ now }) => now.dropped > 0],
  ["Members up", (history) => `${upOf(history)}/${history.members.length}`,
    (history) => ["gateway", "worker"].map((kind) => plural(history.members.filter((member) => isOf(member, kind)).length, kind)).join(", "),
    (history) => upOf(history) < history.members.length],
  ["Memory", ({ now }) => text.bytes(now.memory), (history) => plural(history.members.filter((member) => member.memory).length, "process", "processes")],
];

const PLOTS = [
  { title: "Clients", unit: "connected", lines: [{ key: "clients", label: "clients" }], write: text.count, tick: short, least: 4 },
  { title: "Messages", unit: "per second", lines: [{ key: "in", label: "in" }, { key: "out", label: "out" }], write: text.rate, tick: short },
  { title: "Event latency", unit: "until its worker was done", lines: [{ key: "p50", label: "p50" }, { key: "p99", label: "p99" }], write: text.ms, log: true, least: 0.1 },
  { title: "Dropped", unit: "per second", lines: [{ key: "dropped", label: "dropped" }], write: text.rate, tick: short, bad: true },
];

const overview = {
  groups: new Keyed(),

  begin() {
    this.tiles = TILES.map(([label]) => {
      const [value, note] = [html("b"), html("small")];
      return { value, note, node: html("div", { class: "card tile" }, html("span", {}, label), value, note) };
    });
    $("tiles").append(...this.tiles.map(({ node }) => node));
    this.plots = PLOTS.map((plot) => new Plot($("charts"), plot));
  },

  draw(history) {
    TILES.forEach(([, value, note, isBad], index) => {
      const tile = this.tiles[index];
      setText(tile.value, value(history));
      setText(tile.note, note(history));
      tile.node.classList.toggle("bad", isBad?.(history) ?? false);
    });
    for (const plot of this.plots) plot.draw(history.samples);
    this.drawProblems(problems(history));
    this.drawGroups(history.groups(GROUPS_MAX));
    this.drawEvents(history.events);
    const only = history.members.length === 1 && history.program !== "register" ? ", this process alone" : "";
    setText($("what"), `${history.program}${only}`);
  },

  drawProblems(found) {
    $("trouble").hidden = found.length === 0;
    const heading = found.length === 1 ? "1 thing needs attention" : `${found.length} things need attention`;
    setText($("trouble-title"), heading);
    document.title = found.length > 0 ? `(${found.length}) Ringway` : "Ringway";
    const key = JSON.stringify(found);
    if (key === this.found) return;
    this.found = key;
    if (found.length !== this.foundCount) announce(found.length > 0 ? heading : this.foundCount ? "Nothing needs attention any more" : "");
    this.foundCount = found.length;
    const line = ({ member, program, what, todo }) =>
      html("li", {}, html("b", {}, program, " ", named(member), ":"), " ", named(what), html("span", {}, todo));
    $("problems").replaceChildren(...found.slice(0, PROBLEMS_MAX).map(line));
    setText($("more-problems"), found.length > PROBLEMS_MAX ? `and ${found.length - PROBLEMS_MAX} more` : "");
  },

  drawGroups(groups) {
    const most = Math.max(groups[0]?.clients ?? 0, 1);
    this.groups.show($("top-groups"), groups.map((group) => ({ ...group, part: group.clients / most })), (group) => group.name, () => new GroupRow());
    $("no-groups").hidden = groups.length > 0;
  },

  drawEvents(events) {
    $("no-events").hidden = events.length > 0;
    if (this.newest === events[0]) return;
    this.newest = events[0];
    const line = ({ at, member, program, what, bad }) =>
      html("li", { class: bad ? "bad" : "" }, html("time", {}, clock(at)), html("span", {}, program, " ", named(member), " ", named(what)));
    $("happened").replaceChildren(...events.slice(0, HAPPENED_MAX).map(line));
  },
};

class GroupRow {
  constructor() {
    [this.name, this.count, this.bar] = [html("bdi"), html("b"), html("i")];
    this.nodes = [html("li", {}, this.bar, this.name, this.count)];
  }

  draw({ name, clients, part }) {
    setText(this.name, visible(name));
    setAttribute(this.name, "title", visible(name));
    setText(this.count, text.count(clients));
    this.bar.style.width = `${(part * 100).toFixed(1)}%`;
  }
}
