"use strict";
// What the page knows and its connection to the app. Knows the protocol; draws nothing itself.

// ---- Limits: the app refuses more; here they keep a page bounded that stays open for days.
const ENTRIES_MAX = 500; // lines kept per conversation
const PRIVATES_MAX = 100; // private conversations; beyond it the oldest is closed
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15000;
const REFRESH_MS = 20000; // asks for rooms and people again, and so notices a dead connection
const SILENCE_MAX_MS = 10000; // no answer to a refresh for so long: the connection is dead

const $ = (id) => document.getElementById(id);

// ---- State: `open` is the key of a conversation, "room:<name>" or "private:<name>". A person is a name; an id is one of
// that person's windows. `me.id` is this one's, null while it is not connected.
const me = { id: null, name: "" };
const conversations = new Map();
const known = new Map(); // room name → how many are online, for rooms not joined
let open = null;

function conversation(kind, id, name) {
  const key = `${kind}:${id}`;
  if (!conversations.has(key)) {
    const talks = kind === "private" ? privates() : [];
    const oldest = talks.length >= PRIVATES_MAX && talks.find((it) => it.key !== open);
    if (oldest) conversations.delete(oldest.key);
    conversations.set(key, { key, kind, id, name, entries: [], unread: 0, people: new Map(), online: 0, gone: false });
  }
  return conversations.get(key);
}
const windowsOf = (it, name) => [...it.people.values()].filter((other) => other === name).length;
const roomsJoined = () => [...conversations.values()].filter((it) => it.kind === "room");
const privates = () => [...conversations.values()].filter((it) => it.kind === "private");

// ---- Small stores of the browser; a browser may forbid them.
function remembered(store, key) {
  try { return window[store].getItem(`ringway-${key}`); } catch { return null; }
}
function remember(store, key, value) {
  try { window[store].setItem(`ringway-${key}`, value); } catch { /* the chat works without */ }
}

// ---- Connection
let socket = null;
let attempt = 0;
let retryTimer = 0;
let refreshTimer = 0;
let silenceTimer = 0;
let lostOnce = false;

function address() {
  const port = document.querySelector("meta[name=ringway-websocket-port]").content;
  const said = document.querySelector("meta[name=ringway-websocket-scheme]").content;
  // A page that came by TLS may connect by TLS alone: then a proxy has it for both.
  const scheme = location.protocol === "https:" || said === "wss" ? "wss" : "ws";
  const host = location.hostname || "127.0.0.1";
  return `${scheme}://${host}:${/^\d+$/.test(port) ? port : "8282"}`;
}

function connect() {
  clearTimeout(retryTimer);
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  setState("connecting");
  const mine = (socket = new WebSocket(address()));
  mine.onopen = hello;
  mine.onmessage = (event) => {
    if (mine !== socket) return;
    clearTimeout(silenceTimer);
    let message = null;
    try { message = JSON.parse(event.data); } catch { /* not of the app */ }
    const type = message?.type;
    if (typeof type === "string" && Object.hasOwn(handlers, type)) handlers[type](message);
    else pushed(event.data);
  };
  mine.onclose = () => mine === socket && disconnected();
}

function hello() {
  send({ type: "hello", name: me.name, rooms: roomsJoined().map((it) => it.id) });
}

// What is no message of the app comes from another program: somebody has pushed it to this name, or to all.
function pushed(text) {
  if (typeof text === "string" && text.trim() && open) note(conversations.get(open), `Pushed to you: ${text}`);
}

function disconnected() {
  clearTimeout(silenceTimer);
  clearInterval(refreshTimer);
  socket = null;
  if (me.id !== null) lostOnce = true;
  me.id = null;
  // Nobody is known to be there until the app says so again.
  for (const it of roomsJoined()) [it.people, it.online] = [new Map(), 0];
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  attempt += 1;
  // Jitter: after a restart thousands of pages must not knock in the same instant.
  retryTimer = setTimeout(connect, full * (0.5 + Math.random() / 2));
  setState("closed");
}

function reconnectNow() {
  if (me.id !== null || !me.name) return;
  attempt = 0;
  connect();
}

function refresh() {
  const current = conversations.get(open);
  send({ type: "refresh", room: current?.kind === "room" ? current.id : null });
  clearTimeout(silenceTimer);
  const asked = socket;
  silenceTimer = setTimeout(() => {
    if (asked !== socket) return;
    socket.onclose = null; // a dead connection may take minutes to say that it is closed
    socket.close();
    disconnected();
  }, SILENCE_MAX_MS);
}

function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

// The app has taken this name for ours.
function nameTaken(name) {
  me.name = name;
  remember("sessionStorage", "name", name);
  renderMe();
}

// Somebody has another name now: what was said in private goes on under it.
function moveTalk(before, name) {
  const talk = conversations.get(`private:${before}`);
  if (!talk || conversations.has(`private:${name}`)) return;
  conversations.delete(talk.key);
  const wasOpen = open === talk.key;
  Object.assign(talk, { key: `private:${name}`, id: name, name });
  conversations.set(talk.key, talk);
  if (wasOpen) open = talk.key;
}

// ---- What the app says
const handlers = {
  welcome(message) {
    me.id = message.id;
    nameTaken(message.name);
    attempt = 0;
    const again = message.history ? "Connected again." : "Connected again. What was said meanwhile is not shown.";
    if (lostOnce) for (const it of roomsJoined()) note(it, again);
    else if (message.elsewhere) note(conversations.get(open), `Somebody is online as ${me.name} already: both of you get what is said to ${me.name} in private.`);
    lostOnce = false;
    clearInterval(refreshTimer);
    refreshTimer = setInterval(refresh, REFRESH_MS);
    setState("open");
  },
  rooms(message) {
    known.clear();
    for (const room of message.rooms) known.set(room.name, room.online);
    renderRooms();
  },
  opened(message) {
    if (!known.has(message.room)) known.set(message.room, 1);
    renderRooms();
  },
  room(message) {
    const it = conversation("room", message.room, message.room);
    it.people = new Map(message.people.map((person) => [person.id, person.name]));
    it.online = message.online;
    updatePresence(it);
  },
  joined(message) {
    const it = conversations.get(`room:${message.room}`);
    if (!it || message.who.id === me.id || it.people.has(message.who.id)) return;
    if (windowsOf(it, message.who.name) === 0) note(it, `${message.who.name} came in`);
    it.people.set(message.who.id, message.who.name);
    it.online += 1;
    updatePresence(it);
  },
  left(message) {
    const it = conversations.get(`room:${message.room}`);
    if (!it || !it.people.delete(message.who.id)) return;
    it.online -= 1;
    if (windowsOf(it, message.who.name) === 0) note(it, `${message.who.name} left`);
    updatePresence(it);
  },
  renamed(message) {
    if (message.who.id === me.id) nameTaken(message.who.name);
    const it = conversations.get(`room:${message.room}`);
    const before = it?.people.get(message.who.id);
    if (before === undefined || before === message.who.name) return;
    it.people.set(message.who.id, message.who.name);
    note(it, `${before} is now ${message.who.name}`);
    if (windowsOf(it, before) === 0) moveTalk(before, message.who.name);
    updatePresence(it);
  },
  message(message) {
    const it = conversations.get(`room:${message.room}`);
    if (it) add(it, { from: message.from, text: message.text, number: message.number });
  },
  history(message) {
    const it = conversations.get(`room:${message.room}`);
    if (!it) return;
    recall(it, message.lines);
    if (message.away) note(it, "What was said before cannot be shown at the moment.");
  },
  private(message) {
    const other = message.from === me.name ? message.to : message.from;
    const it = conversation("private", other, other);
    it.gone = false;
    add(it, { from: { name: message.from }, text: message.text });
  },
  error(message) {
    const talk = message.code === "offline" && conversations.get(`private:${message.about}`);
    if (talk) {
      talk.gone = true;
      note(talk, `${talk.name} is not online. Your message did not arrive.`);
      render();
    } else {
      $("problem").textContent = message.text;
      // Refused before it came in: another name is needed.
      if (message.code === "name" && me.id === null) askName();
    }
  },
};
