// Elements. What others say is only ever put into text nodes, and nothing is touched that stays as it is.

const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const html = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** A name that somebody else chose. */
const named = (text) => html("bdi", {}, visible(text));

function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

function setAttribute(node, key, value) {
  if (value === null || value === false) node.removeAttribute(key);
  else if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
}

/** Has a node have these children, in this order; those that stand right are not touched, and the focus stays where it is. */
function setChildren(parent, children) {
  const focused = document.activeElement;
  const wanted = new Set(children);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.childNodes[index] !== child) parent.insertBefore(child, parent.childNodes[index] ?? null);
  });
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Nodes by key, made once each and forgotten when they are wanted no more. */
class Keyed {
  #nodes = new Map();

  /** Shows `items` in `parent`: `make(item)` answers { nodes, draw(item) }. */
  show(parent, items, keyOf, make) {
    const old = this.#nodes;
    this.#nodes = new Map(items.map((item) => [keyOf(item), old.get(keyOf(item)) ?? make(item)]));
    for (const item of items) this.#nodes.get(keyOf(item)).draw(item);
    setChildren(parent, [...this.#nodes.values()].flatMap(({ nodes }) => nodes));
  }
}

/** Asks before something is done that cannot be taken back; resolves to whether to do it. */
function confirmed(title, what, verb, { bad = false } = {}) {
  const dialog = $("confirm");
  setText($("confirm-title"), title);
  setText($("confirm-what"), what);
  setText($("confirm-yes"), verb);
  $("confirm-yes").classList.toggle("danger", bad);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answered) => dialog.addEventListener("close", () => answered(dialog.returnValue === "yes"), { once: true }));
}

/** Tells those who do not see the page. */
function announce(what) {
  setText($("announcer"), what);
}
