// Drawing. What others say is only ever put into text nodes, never parsed as HTML.

// ---- Entries of a conversation
function note(it, text) { add(it, { note: text }); }

// Under whichever name it was said.
function isMine(entry) { return (entry.mine ??= entry.from?.name === me.name); }

function add(it, entry) {
  entry.at = new Date();
  it.entries.push(entry);
  const seen = it.key === open && !document.hidden;
  if (!seen && !entry.note && !isMine(entry)) it.unread += 1;
  if (it.key === open) appendEntry(it, entry);
  if (it.entries.length > ENTRIES_MAX) {
    it.entries.shift();
    if (it.key === open) $("log").firstElementChild.remove();
  }
  renderSide();
}

// Puts what was said before where it belongs: behind what has a smaller number. What is there already stays.
function recall(it, lines) {
  for (const { number, at, from, text } of lines) {
    if (it.entries.some((entry) => entry.number === number)) continue;
    const place = it.entries.findLastIndex((entry) => entry.number < number) + 1;
    it.entries.splice(place, 0, { number, at: new Date(at), from, text });
  }
  it.entries.splice(0, it.entries.length - ENTRIES_MAX);
  if (it.key === open) renderLog(0);
}

// Whether the newest line is in sight: only then may the log move by itself.
let atEnd = true;

function scrollToEnd() {
  $("log").scrollTop = $("log").scrollHeight;
  atEnd = true;
  $("newer").hidden = true;
}

function appendEntry(it, entry) {
  const log = $("log");
  const mine = isMine(entry);
  log.querySelector(".welcome")?.remove();
  const node = entryNode(entry, it.entries[it.entries.length - 2]);
  node.classList.add("fresh");
  log.append(node);
  if (atEnd || mine) scrollToEnd();
  else if (!entry.note) $("newer").hidden = false;
}

function entryNode(entry, before) {
  if (entry.note) return element("p", "note", entry.note);
  const mine = isMine(entry);
  const more = before?.from?.name === entry.from.name && entry.at - before.at < 180000;
  const node = element("article", `message${mine ? " mine" : ""}${more ? " more" : ""}`);
  node.style.setProperty("--hue", hue(entry.from.name));
  if (!mine) node.append(avatar(entry.from));
  const time = element("time", "", entry.at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = entry.at.toISOString();
  const by = element("span", more ? "by hidden" : "by");
  by.append(element("b", mine ? "hidden" : "", mine ? "You" : entry.from.name), " ", time);
  const bubble = element("div", "bubble", entry.text);
  node.append(by, bubble);
  return node;
}

// ---- Drawing
function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// The name gives the colour, so that somebody who comes back has it again.
function hue(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return (hash * 47) % 360;
}

function avatar(person) {
  const words = person.name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [...words[0]][0] + [...words[1]][0] : [...person.name].slice(0, 2).join("");
  const node = element("span", "avatar", letters.toUpperCase());
  node.style.setProperty("--hue", hue(person.name));
  node.setAttribute("aria-hidden", "true");
  return node;
}

function row(key, label, mark, count, options = {}) {
  const it = conversations.get(key);
  const node = element("li", "row");
  node.classList.toggle("open", key === open);
  node.classList.toggle("unread", Boolean(it?.unread));
  node.classList.toggle("quiet", !it);
  node.classList.toggle("gone", Boolean(it?.gone));
  const button = element("button");
  button.type = "button";
  button.dataset.key = key;
  if (key === open) button.setAttribute("aria-current", "page");
  const name = element("span", "label", label);
  button.append(mark, name);
  if (it?.unread) {
    const badge = element("span", "badge", it.unread > 99 ? "99+" : it.unread);
    badge.append(element("span", "hidden", " unread"));
    button.append(badge);
  } else if (count !== undefined) {
    const number = element("span", "count", count);
    number.append(element("span", "hidden", " online"));
    button.append(number);
  }
  button.onclick = options.choose;
  node.append(button);
  if (options.drop) {
    const drop = element("button", "icon drop", "✕");
    drop.type = "button";
    drop.setAttribute("aria-label", options.dropLabel);
    drop.onclick = options.drop;
    node.append(drop);
  }
  return node;
}

// Replaces the rows and keeps the keyboard's place among them.
function replaceRows(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  list.replaceChildren(...rows);
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// How many people are in a room: one who has several windows open counts once, where everybody is known.
function present(it) {
  return it.people.size < it.online ? it.online : new Set(it.people.values()).size;
}

function renderRooms() {
  const joined = roomsJoined();
  const names = new Set([...joined.map((it) => it.id), ...known.keys()]);
  replaceRows($("rooms"), [...names].sort((a, b) => a.localeCompare(b)).map((name) => {
    const it = conversations.get(`room:${name}`);
    const mark = element("span", "mark", "#");
    mark.setAttribute("aria-hidden", "true");
    return row(`room:${name}`, name, mark, it ? present(it) : known.get(name), {
      choose: () => enterRoom(name),
      drop: it && joined.length > 1 ? () => leaveRoom(it) : undefined,
      dropLabel: `Leave the room ${name}`,
    });
  }));
}

function renderPrivates() {
  const all = privates();
  $("private-hint").hidden = all.length > 0;
  replaceRows($("privates"), all.map((it) => row(it.key, it.name, avatar(it), undefined, {
    choose: () => show(it.key),
    drop: () => closeConversation(it),
    dropLabel: `Close the conversation with ${it.name}`,
  })));
}

function renderPeople() {
  const it = conversations.get(open);
  const names = new Set(it?.kind === "private" ? [it.name] : it?.people.values());
  names.delete(me.name);
  const online = it?.kind === "room" ? present(it) : names.size + 1;
  const others = [...names].sort((a, b) => a.localeCompare(b)).map((name) => ({ name }));
  const self = { name: me.name };
  replaceRows($("people"), [self, ...others].map((person) => {
    const own = person === self;
    const node = row(own ? "" : `private:${person.name}`, person.name, avatar(person), undefined, {
      choose: own ? askName : () => talkTo(person),
    });
    node.classList.remove("open", "unread", "quiet");
    node.querySelector(".badge")?.remove();
    const button = node.firstElementChild;
    button.title = own ? "Change your name" : `Talk to ${person.name} in private`;
    if (own) button.append(element("small", "", "you"));
    else if (!node.classList.contains("gone")) button.append(element("span", "online"));
    return node;
  }));
  const unseen = it?.kind === "room" ? it.online - it.people.size : 0;
  $("people-more").hidden = unseen <= 0;
  $("people-more").textContent = `and ${unseen} more`;
  $("people-count").textContent = $("people-short").textContent = me.id === null ? "" : online;
}

function renderMe() {
  $("my-name").textContent = me.name;
  const mine = avatar({ name: me.name });
  $("my-avatar").textContent = mine.textContent;
  $("my-avatar").style.cssText = mine.style.cssText;
}

function renderTop() {
  const it = conversations.get(open);
  if (!it) return;
  const room = it.kind === "room";
  $("title").textContent = room ? `# ${it.name}` : it.name;
  $("subtitle").textContent = me.id === null ? "Not connected" : subtitle(it);
  $("text").placeholder = room ? `Message to #${it.name}` : `Private message to ${it.name}`;
  const unread = [...conversations.values()].reduce((sum, each) => sum + each.unread, 0);
  $("elsewhere").hidden = unread === it.unread;
  document.title = `${unread ? `(${unread}) ` : ""}${room ? "#" : ""}${it.name} · Ringway`;
}

function subtitle(it) {
  if (it.kind === "private") return it.gone ? "Not online" : "Only the two of you see this";
  return present(it) <= 1 ? "Only you are here" : `${present(it)} people are here`;
}

function renderSide() { renderRooms(); renderPrivates(); renderTop(); }
function render() { renderSide(); renderPeople(); renderMe(); }

function updatePresence(it) {
  if (it.key === open) renderPeople();
  for (const talk of privates()) if (windowsOf(it, talk.name) > 0) talk.gone = false;
  renderSide();
}

function renderLog(unread) {
  const it = conversations.get(open);
  const log = $("log");
  const nodes = it.entries.map((entry, index) => entryNode(entry, it.entries[index - 1]));
  if (unread > 0) {
    const firstUnread = unreadIndex(it, unread);
    nodes.splice(firstUnread, 0, element("div", "divider", "New"));
  }
  if (!it.entries.some((entry) => entry.from)) nodes.unshift(welcomeNode(it));
  // Moving to another conversation is not news: a screen reader must not read it all out.
  log.setAttribute("aria-live", "off");
  log.replaceChildren(...nodes);
  requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
  scrollToEnd();
}

function unreadIndex(it, unread) {
  let left = unread;
  for (let index = it.entries.length - 1; index >= 0; index -= 1) {
    if (it.entries[index].from && !it.entries[index].mine && --left === 0) return index;
  }
  return 0;
}

function welcomeNode(it) {
  const node = element("div", "welcome");
  const room = it.kind === "room";
  node.append(element("b", "", room ? `Welcome to #${it.name}` : `You and ${it.name}`),
    room ? "Nothing was said here since you came. Say hello, or choose somebody to talk in private."
      : "Nobody else sees what you write here.");
  return node;
}

function setState(state) {
  const opened = state === "open";
  const waiting = state === "connecting" && attempt > 0;
  $("state").dataset.state = state;
  $("state").textContent = opened ? "Online" : state === "connecting" ? "Connecting…" : "Offline";
  $("banner").hidden = opened || attempt === 0;
  $("banner-text").textContent = waiting ? "Connecting again…" : "The connection is lost. Trying again soon…";
  updateSend();
  render();
}

function updateSend() {
  $("send").disabled = me.id === null || !$("text").value.trim();
}
