// @ts-check
// Drawing without flicker: a wanted tree is compared with what stands in the page, and only differences are changed,
// so that focus, selection and open details stay.

/** @typedef {{tag: string, props: Record<string, any>, children: (Wanted | string)[]}} Wanted */

const SVG = new Set(["svg", "circle", "path"]);

/** A wanted element. Children that are `null`, `undefined` or `false` are left out.
 * @param {string} tag @param {Record<string, any>} props @param {...any} children @returns {Wanted} */
export function h(tag, props, ...children) {
  return {
    tag,
    props,
    children: children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""),
  };
}

/** Makes `parent` have exactly these children.
 * @param {Element} parent @param {any[]} wanted */
export function patch(parent, wanted) {
  const all = wanted.filter((child) => child !== null && child !== undefined && child !== false && child !== "");
  /** @type {Map<string, ChildNode>} */
  const keyed = new Map();
  for (const node of parent.childNodes) {
    const key = node instanceof Element ? keys.get(node) : undefined;
    if (key !== undefined) keyed.set(key, node);
  }
  let at = parent.firstChild;
  for (const child of all) {
    let node = match(child, at, keyed);
    if (!node) {
      node = typeof child === "string" ? document.createTextNode(child) : create(child);
      parent.insertBefore(node, at);
    } else if (node === at) {
      at = at.nextSibling;
    } else {
      parent.insertBefore(node, at);
    }
    update(node, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** @type {WeakMap<Element, string>} */
const keys = new WeakMap();
/** The serial of the text that a field shows. @type {WeakMap<Element, number>} */
const serials = new WeakMap();

/** Elements that say for a moment how something went: their text is not drawn meanwhile. @type {WeakSet<Element>} */
const telling = new WeakSet();

/** @param {Wanted | string} child @param {ChildNode | null} at @param {Map<string, ChildNode>} keyed
 * @returns {ChildNode | undefined} */
function match(child, at, keyed) {
  if (typeof child === "string") return at instanceof Text ? at : undefined;
  const { key } = child.props;
  if (key !== undefined) {
    const node = keyed.get(key);
    return node instanceof Element && node.localName === child.tag ? node : undefined;
  }
  return at instanceof Element && at.localName === child.tag && !keys.has(at) ? at : undefined;
}

/** @param {Wanted} child */
function create(child) {
  const element = SVG.has(child.tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", child.tag)
    : document.createElement(child.tag);
  if (child.props.key !== undefined) keys.set(element, child.props.key);
  return element;
}

/** @param {ChildNode} node @param {Wanted | string} child */
function update(node, child) {
  if (typeof child === "string") {
    if (node.textContent !== child) node.textContent = child;
    return;
  }
  const element = /** @type {Element} */ (node);
  if (!telling.has(element)) patch(element, child.children);
  for (const [name, value] of Object.entries(child.props)) setProperty(element, name, value, child.props);
  for (const { name } of [...element.attributes]) {
    // An open `details` is the person's doing.
    if (!(name in child.props) && name !== "open") element.removeAttribute(name);
  }
}

/** @param {any} element @param {string} name @param {any} value @param {Record<string, any>} props */
function setProperty(element, name, value, props) {
  if (name === "key" || name === "serial") return;
  if (name.startsWith("on")) {
    element[name] = value;
  } else if (name === "checked") {
    if (element.checked !== value) element.checked = value;
  } else if (name === "chosen") {
    if (element.value !== value) element.value = value;
  } else if (name === "value" && "serial" in props) {
    // What the person is typing is newer than what the worker has heard of it.
    const isNew = serials.get(element) !== props.serial;
    if (element.value !== value && (isNew || element !== document.activeElement)) element.value = value;
    serials.set(element, props.serial);
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/** A sentence whose commands stand between backticks.
 * @param {string} text */
export function words(text) {
  return text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part));
}

/** A button that copies a text that is no secret, and says whether it did: on itself, and in the page's element `outcome`
 * to a screen reader, which goes on reading the button by its label.
 * @param {string} text @param {string} label */
export function copyButton(text, label) {
  return h(
    "button",
    {
      type: "button",
      "aria-label": `${label}: ${text}`,
      onclick: async (/** @type {any} */ event) => {
        const button = /** @type {HTMLElement} */ (event.currentTarget);
        const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
        const outcome = copied ? "Copied" : "Not copied";
        telling.add(button);
        tell(button, outcome, outcome);
        setTimeout(() => {
          telling.delete(button);
          tell(button, label, "");
        }, 1500);
      },
    },
    label,
  );
}

/** @param {HTMLElement} button @param {string} text @param {string} spoken */
function tell(button, text, spoken) {
  button.textContent = text;
  const outcome = document.getElementById("outcome");
  if (outcome) outcome.textContent = spoken;
}

/** A command that can be copied.
 * @param {string} text */
export function command(text) {
  return h("span", { class: "command" }, h("code", {}, text), copyButton(text, "Copy"));
}
