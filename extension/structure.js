// @ts-check
// Says how a page is built, never what it says: tags, ids, classes, names of attributes, and the words of labels. It is put
// into a page only when a person asks for it in the popup; its result goes to capture.html, where the person reads it first.
//
// Everything is taken from the browser's own prototypes, since a form's controls may be named like any property.
"use strict";

(() => {
  const NODES_MAX = 5000, DEPTH_MAX = 100, BYTES_MAX = 200_000;
  /** The longest name and the longest label that are told. */
  const NAME_MAX = 40, LABEL_MAX = 40, LABEL_WORDS_MAX = 5;
  /** A page may give an element ten thousand classes. */
  const NAMES_MAX = 12;

  /** @param {Function} type @param {string} name @returns {(node: any) => any} */
  const getter = (type, name) => {
    const get = Object.getOwnPropertyDescriptor(type.prototype, name)?.get;
    return (node) => get?.call(node);
  };
  const firstChild = getter(Node, "firstChild"), nextSibling = getter(Node, "nextSibling");
  const nodeType = getter(Node, "nodeType"), nodeValue = getter(Node, "nodeValue");
  const localName = getter(Element, "localName"), shadowRoot = getter(Element, "shadowRoot");
  const root = getter(Document, "documentElement");
  const { getAttribute, getAttributeNames, checkVisibility } = Element.prototype;

  /** What is left out with all that is inside. */
  const LEFT_OUT = new Set(["script", "style", "link", "title", "base", "template", "noscript", "svg", "math", "br", "option"]);
  /** What has its words as its label. */
  const LABELS = new Set(["label", "th", "dt"]);

  /** Digits say which one, not what. @param {string} text */
  const masked = (text) => text.replace(/\p{N}/gu, "0");

  /** Whether a machine made it up: it will be another one tomorrow. @param {string} name */
  const isGenerated = (name) =>
    (name.match(/\d/g)?.length ?? 0) > 3 || /[a-z]\d+[a-z]+\d|\d[a-z]+\d+[a-z]/i.test(name)
    || /(?=[a-f]*\d)[0-9a-f]{8}/i.test(name);

  /** @param {string} name */
  const told = (name) =>
    name.length <= NAME_MAX && /^[A-Za-z_][\w-]*$/.test(name) && !isGenerated(name) ? masked(name) : "…";

  /** The names of a list, each once. @param {string[]} names */
  const toldAll = (names) => Array.from(new Set(names.slice(0, NAMES_MAX).map(told)));

  /** A label's own words: no sentence, no address, nothing of what stands inside of it. @param {Element} element */
  function wordsOf(element) {
    let text = "";
    for (let child = firstChild(element), n = 0; child && n < 20; child = nextSibling(child), n += 1) {
      if (nodeType(child) === Node.TEXT_NODE) text += " " + String(nodeValue(child)).slice(0, 4 * LABEL_MAX);
    }
    const line = text.replace(/[\s\p{C}]+/gu, " ").trim();
    if (line === "") return "";
    if (line.length > LABEL_MAX || line.split(" ").length > LABEL_WORDS_MAX || /[@/\\]|\.\w/.test(line)) return "…";
    return masked(line.replaceAll('"', "'"));
  }

  /** @param {Element} element @param {string} tag */
  function lineOf(element, tag) {
    /** @param {string} name @returns {string} */
    const attribute = (name) => getAttribute.call(element, name) ?? "";
    let line = /^[a-z][a-z0-9-]*$/.test(tag) && tag.length <= NAME_MAX ? masked0(tag) : "…";
    const id = attribute("id");
    if (id !== "") line += "#" + told(id);
    const classes = attribute("class").slice(0, 2000).split(/\s+/).filter((name) => name !== "");
    line += toldAll(classes).map((name) => "." + name).join("");
    const names = getAttributeNames.call(element).slice(0, 200).filter((name) => /^(data|aria)-/.test(name));
    line += toldAll(names).map((name) => ` [${name}]`).join("");
    for (const name of ["role", "type"]) {
      const value = attribute(name);
      if (/^[a-z-]{1,30}$/.test(value)) line += ` ${name}=${value}`;
    }
    if (tag === "meta") line += ` name=${told(attribute("name") || "_")}`;
    if (LABELS.has(tag) || classes.some((name) => /label/i.test(name))) {
      const words = wordsOf(element);
      if (words !== "") line += ` "${words}"`;
    }
    return line;
  }

  /** A heading keeps its digit. @param {string} tag */
  const masked0 = (tag) => (/^h[1-6]$/.test(tag) ? tag : masked(tag));

  let nodes = 0, bytes = 0, cut = false;

  /**
   * The children of a node, those that are alike in a row once.
   * @param {Node} parent @param {number} depth @param {boolean} shown @returns {string[]}
   */
  function inside(parent, depth, shown) {
    /** @type {string[]} */
    const lines = [];
    /** @type {{block: string, lines: string[], times: number} | undefined} */
    let last;
    const flush = () => {
      if (!last) return;
      if (last.times > 1) last.lines[0] += ` ×${last.times}`;
      lines.push(...last.lines);
    };
    for (let child = firstChild(parent); child; child = nextSibling(child)) {
      if (nodes >= NODES_MAX || bytes >= BYTES_MAX) {
        cut = true;
        break;
      }
      if (nodeType(child) !== Node.ELEMENT_NODE) continue;
      nodes += 1;
      const tag = String(localName(child));
      if (LEFT_OUT.has(tag)) continue;
      const visible = tag === "head" || tag === "meta"
        || checkVisibility.call(child, { visibilityProperty: true, contentVisibilityAuto: false });
      const pad = " ".repeat(depth);
      const line = pad + lineOf(child, tag) + (shown && !visible ? " (hidden)" : "");
      const before = bytes;
      bytes += 3 * line.length;
      const block = [line];
      if (depth >= DEPTH_MAX) {
        cut ||= firstChild(child) !== null;
      } else {
        const shadow = shadowRoot(child);
        if (shadow) block.push(`${pad} >>>`, ...inside(shadow, depth + 2, visible));
        block.push(...inside(child, depth + 1, visible));
      }
      const text = block.join("\n");
      if (last?.block === text) {
        last.times += 1;
        bytes = before;
      } else {
        flush();
        last = { block: text, lines: block, times: 1 };
      }
    }
    flush();
    return lines;
  }

  /** @param {string} path */
  const pathOf = (path) =>
    path.split("/").map((part) => {
      if (part === "" || /^\d+$/.test(part)) return masked(part);
      return part.length <= NAME_MAX && /^[A-Za-z][\w.-]*$/.test(part) && !isGenerated(part) ? masked(part) : "…";
    }).join("/");

  /** Names of parameters, without their values. @param {string} query */
  const queryOf = (query) =>
    query === "" ? "" : "?" + query.split(/[&;]/).slice(0, 20).map((pair) => told(pair.split("=")[0] ?? "") + "=…").join("&");

  /** The form of the address: no host, no values. */
  function address() {
    const [hashPath = "", hashQuery = ""] = location.hash.slice(1, 2000).split("?");
    const route = /^!?\//.test(hashPath) ? pathOf(hashPath.replace(/^!/, "")) + queryOf(hashQuery) : "…";
    return location.protocol + "//…" + pathOf(location.pathname.slice(0, 2000)) + queryOf(location.search.slice(1, 4000))
      + (location.hash.length > 1 ? "#" + route : "");
  }

  const top = root(document);
  const lines = [address()];
  if (top) {
    lines.push(lineOf(top, String(localName(top))), ...inside(top, 1, true));
  }
  if (cut) lines.push("… (the rest is left out)");
  return lines.join("\n");
})();
