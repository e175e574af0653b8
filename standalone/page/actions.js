// What the user does, and the wiring of the page. The last script: it starts everything.

function show(key) {
  const it = conversations.get(key);
  const unread = it.unread;
  it.unread = 0;
  const changed = open !== key;
  open = key;
  if (it.kind === "room") history.replaceState(null, "", `#${encodeURIComponent(it.id)}`);
  closePanels();
  if (changed || unread) renderLog(unread);
  if (changed) $("problem").textContent = "";
  render();
  if (matchMedia("(hover: hover)").matches) $("text").focus();
}

function enterRoom(name) {
  const key = `room:${name}`;
  if (!conversations.has(key)) {
    conversation("room", name, name);
    send({ type: "join", room: name });
  }
  show(key);
}

function leaveRoom(it) {
  send({ type: "leave", room: it.id });
  known.set(it.id, Math.max(0, it.online - 1));
  closeConversation(it);
}

function closeConversation(it) {
  conversations.delete(it.key);
  if (open === it.key) show(roomsJoined()[0].key);
  else renderSide();
}

function talkTo(person) {
  show(conversation("private", person.name, person.name).key);
}

function roomName(input) {
  return input.normalize("NFC").trim().replace(/^#/, "").toLowerCase().replace(/\s+/g, "-").replace(/[^\p{L}\p{N}._-]/gu, "").slice(0, 32);
}

function askName() {
  $("name").value = me.name || suggestedName();
  closePanels();
  $("name-dialog").showModal();
  $("name").select();
}

function suggestedName() {
  const any = (list) => list[Math.floor(Math.random() * list.length)];
  const first = any(["Quiet", "Bright", "Brave", "Gentle", "Lucky", "Swift", "Merry", "Clever"]);
  return `${first} ${any(["Otter", "Heron", "Fox", "Maple", "Comet", "Robin", "Lynx", "Willow"])}`;
}

function nameChosen(name) {
  const first = !me.name;
  // Connected, it is ours only once the app says so.
  if (me.id !== null) return send({ type: "name", name });
  me.name = name;
  if (first) return start();
  hello();
  render();
}

function start() {
  let wanted = "";
  try { wanted = roomName(decodeURIComponent(location.hash.slice(1))); } catch { /* not a room */ }
  show(conversation("room", wanted || "lobby", wanted || "lobby").key);
  connect();
}

function say(event) {
  event.preventDefault();
  const it = conversations.get(open);
  const text = $("text").value.trim();
  if (!text || !it || me.id === null) return;
  const sent = it.kind === "room" ? send({ type: "say", room: it.id, text }) : send({ type: "private", to: it.id, text });
  if (!sent) return;
  $("text").value = "";
  $("problem").textContent = "";
  grow();
  $("text").focus();
}

function grow() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  updateSend();
}

function openPanel(which) {
  const panel = $(which === "rooms" ? "rooms-panel" : "people-panel");
  $("app").classList.add(`${which}-open`);
  $(`show-${which}`).setAttribute("aria-expanded", "true");
  panel.querySelector("[data-close]").focus();
}

function closePanels() {
  for (const which of ["rooms", "people"]) {
    if (!$("app").classList.contains(`${which}-open`)) continue;
    $("app").classList.remove(`${which}-open`);
    $(`show-${which}`).setAttribute("aria-expanded", "false");
    $(`show-${which}`).focus();
  }
}

function applyTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

// ---- Wiring
$("composer").onsubmit = say;
$("text").oninput = grow;
$("text").onkeydown = (event) => {
  // While a word is being composed (Chinese, Japanese), Enter ends the word, not the message.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) say(event);
};
$("name-form").onsubmit = (event) => {
  const name = $("name").value.normalize("NFC").trim();
  if (name) nameChosen(name);
  else event.preventDefault();
};
$("name-dialog").oncancel = (event) => { if (!me.name) event.preventDefault(); };
$("add-room").onsubmit = (event) => {
  event.preventDefault();
  const name = roomName($("new-room").value);
  $("new-room").value = "";
  if (name) enterRoom(name);
};
$("rename").onclick = askName;
$("retry").onclick = reconnectNow;
$("show-rooms").onclick = () => openPanel("rooms");
$("show-people").onclick = () => openPanel("people");
for (const node of document.querySelectorAll("[data-close]")) node.onclick = closePanels;
$("newer").onclick = scrollToEnd;
$("log").onscroll = () => {
  const log = $("log");
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  if (atEnd) $("newer").hidden = true;
};
// A banner or an on-screen keyboard makes the log lower; the newest line stays in sight.
new ResizeObserver(() => { if (atEnd) scrollToEnd(); }).observe($("log"));
$("theme").onclick = () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember("localStorage", "theme", next);
  applyTheme(next);
};
matchMedia("(prefers-color-scheme: dark)").onchange = () => applyTheme(remembered("localStorage", "theme"));
document.onkeydown = (event) => { if (event.key === "Escape") closePanels(); };
document.onvisibilitychange = () => {
  if (document.hidden || !open) return;
  reconnectNow();
  show(open);
};
window.addEventListener("online", reconnectNow);
applyTheme(remembered("localStorage", "theme"));
me.name = remembered("sessionStorage", "name") ?? "";
if (me.name) start();
else askName();
