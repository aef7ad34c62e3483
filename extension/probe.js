// @ts-check
// The probe: reads from a ticket page what the worker asks for and reports it. It decides nothing and changes nothing.
//
// It runs in every frame, in the extension's isolated world, and may be put in twice (the second one replaces the
// first). Where the worker answers `null` it takes all its observers down. Messages: protocol/src/page.rs.
//
// Almost all of it runs at once, so the browser is asked to compile it whole instead of function by function.
//# allFunctionsCalledOnLoad
"use strict";

(() => {
  /** Limits of protocol/src/page.rs; what is longer is cut here, since the worker refuses it. */
  const TEXT_MAX = 1000, FOUND_MAX = 8, ANSWERS_MAX = 96, ADDRESS_MAX = 16 * 1024;
  /** All texts together, in UTF-16 units: three bytes each at most, so a message stays below 64 KiB. */
  const ALL_TEXTS_MAX = 12_000;
  /** Rows looked at for one label, elements looked at for one selector, nodes read for one text. */
  const ROWS_MAX = 200, ELEMENTS_MAX = 60, NODES_MAX = 400;
  /** A change is read this long after it began; a page that never rests is read less and less often, to the last. */
  const READ_AFTER = [150, 300, 600, 1200, 2000];
  /** Values of inputs and shadow trees change without a mutation that we could see. */
  const POLL_EVERY = 2000;
  /** A page that says something new all the time may say so this often in half a minute, then at the slow rate. */
  const REPORTS_MAX = 20, REPORTS_WITHIN = 30_000;

  /**
   * @typedef {"text" | "own_text" | "value" | "present" | {attribute: string}} Read
   * @typedef {{selector?: string, words: string[], control?: boolean}} Label
   * @typedef {{q: number, only_if?: number, selector: string, scope?: string, label?: Label, value?: string,
   *   read?: Read, holding?: string, drop?: string, hidden_too?: boolean, many?: number}} Question
   * @typedef {{rules: number, ask: Question[]}} Questions
   * @typedef {{q: number, found: string[]}} Answer
   * @typedef {{rules: number, address: string, title: string, shown: boolean, answers: Answer[]}} Facts
   * @typedef {{id?: string, sendMessage: (message: object) => Promise<any>,
   *   onMessage: {addListener: (f: Listener) => void, removeListener: (f: Listener) => void}}} Runtime
   * @typedef {{show: (view: object) => void, hide: () => void, stop: () => void}} Button
   * @typedef {(message: any, sender: {id?: string, tab?: object}, respond: (answer: any) => void) => void} Listener
   */

  /** @type {any} */
  const world = globalThis;
  world.ticketgatePage?.stop();

  /** @type {Runtime} */
  const runtime = world.chrome.runtime;
  /** @type {Questions | null} */
  let questions = null;
  /** What the button shows, and the button, once there was something to show. @type {object | null} */
  let shows = null;
  /** @type {Button | undefined} */
  let button;
  let stopped = false;
  let last = "";
  let pace = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let poll;
  /** When the page was last read. */
  let readAt = -Infinity;
  /** @type {number[]} */
  let reported = [];

  // ---- Reading -------------------------------------------------------------------------------------------------

  /** @param {string} text */
  const fold = (text) => text.replace(/[\s\u0000-\u001f\u007f]+/g, " ").trim();
  /** @param {string} text @param {number} max */
  const cut = (text, max) => text.slice(0, max).toWellFormed();
  /** @param {string} text */
  const asLabel = (text) => fold(text).replace(/[\s:*]+$/, "").toLowerCase();
  /** @param {Element} element */
  const visible = (element) => element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: false });

  const INLINE = new Set(["A", "ABBR", "B", "BDI", "BDO", "CITE", "CODE", "EM", "FONT", "I", "KBD", "LABEL", "MARK", "Q",
    "S", "SMALL", "SPAN", "STRONG", "SUB", "SUP", "TIME", "U", "VAR", "WBR"]);
  const SILENT = new Set(["SCRIPT", "STYLE", "TEMPLATE", "NOSCRIPT", "OPTION", "TEXTAREA"]);

  /**
   * The text of an element as a person sees it: without hidden or dropped parts, a space between blocks. `innerText`
   * would do much of it, but makes the page lay itself out.
   * @param {Element} element @param {string | undefined} drop @param {boolean} hiddenToo
   */
  function textOf(element, drop, hiddenToo) {
    let out = "", nodes = 0;
    /** @param {Node} node */
    const walk = (node) => {
      for (let child = node.firstChild; child && out.length < 4 * TEXT_MAX && nodes < NODES_MAX; child = child.nextSibling) {
        nodes += 1;
        if (child.nodeType === Node.TEXT_NODE) {
          out += child.nodeValue ?? "";
        } else if (child instanceof Element && !SILENT.has(child.tagName)
            && !(drop && child.matches(drop)) && (hiddenToo || visible(child))) {
          const space = INLINE.has(child.tagName) ? "" : " ";
          out += space;
          walk(child);
          out += space;
        }
      }
    };
    walk(element);
    return out;
  }

  /** @param {Element} element @param {Question} question @returns {string | null} */
  function readOne(element, question) {
    const read = question.read ?? "text";
    if (read === "present") return "";
    if (typeof read === "object") return element.getAttribute(read.attribute);
    if (read === "own_text") {
      return Array.from(element.childNodes, (node) => node.nodeType === Node.TEXT_NODE ? node.nodeValue : "").join(" ");
    }
    if (read === "value") {
      // What a person typed as a secret is never a fact of a ticket.
      if (element instanceof HTMLInputElement) return element.type === "password" ? null : element.value;
      if (element instanceof HTMLTextAreaElement) return element.value;
      if (element instanceof HTMLSelectElement) return element.selectedOptions[0]?.text ?? null;
    }
    return textOf(element, question.drop, question.hidden_too === true);
  }

  /** @type {Map<string, string[]>} */
  const lists = new Map();

  /** The selectors of a list. @param {string} selector */
  function listOf(selector) {
    const known = lists.get(selector);
    if (known) return known;
    // Commas inside brackets, parentheses and quotes separate nothing.
    const list = selector.includes(",")
      ? selector.match(/(?:\[[^\]]*\]|\([^()]*(?:\([^()]*\)[^()]*)*\)|[^,])+/g) ?? [selector]
      : [selector];
    lists.set(selector, list);
    return list;
  }

  /**
   * `querySelectorAll`, which is ten times as fast for selectors one by one as for a list of them.
   * @param {ParentNode} root @param {string} selector @returns {Element[]}
   */
  function all(root, selector) {
    const parts = listOf(selector).map((one) => Array.from(root.querySelectorAll(one))).filter((part) => part.length > 0);
    if (parts.length <= 1) return parts[0] ?? [];
    return Array.from(new Set(parts.flat()))
      .sort((a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
  }

  /**
   * Elements for a selector. `a >>> b` finds `b` in the open shadow root of `a` and in those nested inside it.
   * @param {ParentNode} root @param {string} selector @param {number} max @returns {Element[]}
   */
  function find(root, selector, max) {
    const [first, ...deeper] = selector.split(" >>> ");
    let found = all(root, first ?? "");
    for (const step of deeper) {
      /** @type {Element[]} */
      const next = [];
      for (const element of found) {
        if (element.shadowRoot) findDeep(element.shadowRoot, step, next, { left: NEST_MAX });
        if (next.length >= max) break;
      }
      found = next;
    }
    return found.slice(0, max);
  }

  /** Elements that are looked through for shadow roots, from one element on. */
  const NEST_MAX = 4000;
  /** The shadow roots right inside of one, and how many elements were looked through for them: once in a reading. */
  const nests = /** @type {Map<ShadowRoot, {inner: ShadowRoot[], looked: number}>} */ (new Map());

  /** @param {ShadowRoot} root */
  function nestIn(root) {
    const known = nests.get(root);
    if (known) return known;
    const nest = { inner: /** @type {ShadowRoot[]} */ ([]), looked: 0 };
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) nest.inner.push(element.shadowRoot);
      if ((nest.looked += 1) >= NEST_MAX) break;
    }
    nests.set(root, nest);
    return nest;
  }

  /** @param {ShadowRoot} root @param {string} selector @param {Element[]} into @param {{left: number}} budget */
  function findDeep(root, selector, into, budget) {
    into.push(...root.querySelectorAll(selector));
    const { inner, looked } = nestIn(root);
    budget.left -= looked;
    for (const one of inner) {
      if (budget.left < 0) return;
      findDeep(one, selector, into, budget);
    }
  }

  /**
   * What stands in a row; `+ b` is what follows it (a `<dd>` after its `<dt>`).
   * @param {Element} row @param {string} selector @returns {Element | null}
   */
  function within(row, selector) {
    if (!selector.startsWith("+ ")) return row.querySelector(selector);
    const next = row.nextElementSibling;
    return next?.matches(selector.slice(2)) ? next : null;
  }

  /** @param {Question} question @returns {string[]} */
  function answer(question) {
    const seen = (/** @type {Element} */ element) => question.hidden_too === true || visible(element);
    const root = question.scope === undefined ? document : find(document, question.scope, ELEMENTS_MAX).find(visible);
    if (!root) return [];
    const many = Math.min(question.many ?? 1, FOUND_MAX);
    const { label, value } = question;
    /** The label's words, where a row asks for them: most pages have none. @type {string[] | undefined} */
    let words;
    /** @type {string[]} */
    const found = [];
    for (const row of find(root, question.selector, label ? ROWS_MAX : question.holding ? ROWS_MAX : ELEMENTS_MAX)) {
      /** @type {Element | null} */
      let element = row;
      if (label) {
        words ??= label.words.map(asLabel);
        const name = label.selector ? row.querySelector(label.selector) : row;
        if (!name || !words.includes(asLabel(name.textContent ?? ""))) continue;
        if (label.control) element = /** @type {HTMLLabelElement} */ (name).control ?? null;
        else if (value) element = within(row, value);
      } else if (value) {
        element = within(row, value);
      }
      if (!element || !seen(element)) continue;
      const raw = readOne(element, question);
      if (raw === null) continue;
      const text = fold(raw);
      if (text === "" && question.read !== "present") continue;
      if (question.holding && !text.toLowerCase().includes(question.holding.toLowerCase())) continue;
      found.push(cut(text, TEXT_MAX));
      if (found.length >= many) break;
    }
    return found;
  }

  /** Whether this frame is laid out and visible in the page around it. */
  function frameShown() {
    if (window === window.top) return true;
    if (innerWidth < 2 || innerHeight < 2) return false;
    try {
      for (let frame = /** @type {Window} */ (window); frame !== frame.parent; frame = frame.parent) {
        const element = frame.frameElement;
        if (element && !visible(element)) return false;
      }
    } catch {
      // A page of another origin around us tells us nothing; our size has to do.
    }
    return true;
  }

  function addressNow() {
    const href = location.href.toWellFormed();
    if (href.length <= ADDRESS_MAX) return href;
    const bare = href.split("#")[0] ?? "";
    return bare.length <= ADDRESS_MAX ? bare : location.origin + "/";
  }

  /** Reads everything that was asked. @returns {Facts | null} */
  function read() {
    if (!questions) return null;
    /** @type {Answer[]} */
    const answers = [];
    const answered = new Set();
    let left = ALL_TEXTS_MAX;
    for (const question of questions.ask) {
      if (answers.length >= ANSWERS_MAX) break;
      if (question.only_if !== undefined && !answered.has(question.only_if)) continue;
      /** @type {string[]} */
      let found = [];
      try {
        found = answer(question);
      } catch {
        // A selector that this browser does not know, or a page that broke its own DOM: this one finds nothing.
      }
      const length = found.reduce((sum, text) => sum + text.length, 0);
      if (found.length === 0 || length > left) continue;
      left -= length;
      answered.add(question.q);
      answers.push({ q: question.q, found });
    }
    nests.clear();
    return {
      rules: questions.rules, address: addressNow(), title: cut(fold(document.title), TEXT_MAX), shown: frameShown(), answers,
    };
  }

  // ---- Reporting -----------------------------------------------------------------------------------------------

  /** After an update or removal of the extension its old scripts live on without it; they go quietly. */
  function orphaned() {
    if (runtime?.id !== undefined) return false;
    stop();
    return true;
  }

  /** @param {object} message @returns {Promise<any>} */
  async function send(message) {
    if (stopped || orphaned()) return undefined;
    try {
      return await runtime.sendMessage(message);
    } catch {
      orphaned();
      return undefined;
    }
  }

  /** @param {boolean} [polled] nothing was seen to change */
  function report(polled = false) {
    timer = undefined;
    if (stopped || orphaned() || !questions) return;
    // Watch again before reading, so that nothing falls between.
    watch();
    readAt = performance.now();
    const facts = read();
    const text = JSON.stringify(facts);
    const slowest = READ_AFTER.length - 1;
    if (text === last) {
      pace = talkative() ? slowest : polled ? 0 : Math.min(pace + 1, slowest);
      return;
    }
    last = text;
    reported.push(readAt);
    pace = talkative() ? slowest : 0;
    void send({ page: "report", facts });
  }

  /** Whether the page says something new all the time. */
  function talkative() {
    const since = performance.now() - REPORTS_WITHIN;
    reported = reported.filter((at) => at > since);
    return reported.length > REPORTS_MAX;
  }

  function soon() {
    // One mutation is enough to know; the rest until the reading costs nothing.
    mutations.disconnect();
    timer ??= setTimeout(report, READ_AFTER[pace], false);
  }

  /** Something that a person did, or a new address: read at the quick pace again. */
  function now() {
    if (!talkative()) pace = 0;
    soon();
  }

  const mutations = new MutationObserver(soon);
  const inView = new IntersectionObserver(() => now());

  function watch() {
    mutations.observe(document, {
      subtree: true, childList: true, characterData: true, attributes: true,
      attributeFilter: ["class", "hidden", "value", "title", "open", "aria-current", "aria-selected", "data-is-active", "data-selected"],
    });
  }

  function onVisibility() {
    if (document.visibilityState === "visible") now();
  }

  /** @param {PageTransitionEvent} event */
  function onPageShow(event) {
    // A page can make such events of its own, as many as it likes, and each would cost the worker a message.
    if (event.isTrusted && event.persisted) void arrive();
  }

  /** @type {Listener} */
  function onMessage(message, sender, respond) {
    if (sender.id !== runtime.id || !message) return;
    if (message.read === true) respond(read());
    else if (message.stop === true) stop();
    else if (message.hide === true) {
      shows = null;
      button?.hide();
    } else if (message.show) {
      shows = message.show;
      if (button) button.show(message.show);
      else respond({ missing: "chip" });
    }
  }

  /** Called by chip.js, which may come twice, and late. @param {(page: object) => Button} make */
  function bring(make) {
    if (stopped) return;
    button ??= make(self);
    if (shows) button.show(shows);
  }

  /** @type {EventTarget | undefined} */
  const navigation = world.navigation;

  function listen() {
    watch();
    if (window !== window.top) inView.observe(document.documentElement);
    poll ??= setInterval(() => {
      if (orphaned() || document.visibilityState !== "visible" || timer !== undefined) return;
      // Read just now because of a change: nothing is missed before the next look.
      if (performance.now() - readAt < POLL_EVERY / 2) return;
      report(true);
    }, POLL_EVERY);
    navigation?.addEventListener("currententrychange", now);
    addEventListener("popstate", now);
    addEventListener("hashchange", now);
    document.addEventListener("visibilitychange", onVisibility);
  }

  function quiet() {
    mutations.disconnect();
    inView.disconnect();
    clearTimeout(timer);
    clearInterval(poll);
    timer = poll = undefined;
    navigation?.removeEventListener("currententrychange", now);
    removeEventListener("popstate", now);
    removeEventListener("hashchange", now);
    document.removeEventListener("visibilitychange", onVisibility);
  }

  function stop() {
    if (stopped) return;
    stopped = true;
    quiet();
    questions = null;
    removeEventListener("pageshow", onPageShow);
    document.removeEventListener("prerenderingchange", arrive);
    try {
      runtime?.onMessage?.removeListener(onMessage);
    } catch {
      // Orphaned: there is nothing left to take the listener from.
    }
    if (world.ticketgatePage === self) world.ticketgatePage = undefined;
    button?.stop();
  }

  async function arrive() {
    // Out of the browser's "back" cache the button still stands, with a token that the worker does not know any more.
    shows = null;
    button?.hide();
    const told = await send({ page: "arrived" });
    if (stopped) return;
    if (questions) quiet();
    questions = told && Array.isArray(told.ask) ? told : null;
    last = "";
    if (!questions) return;
    listen();
    report();
  }

  const self = { read, stop, send, orphaned, bring };
  world.ticketgatePage = self;
  runtime.onMessage.addListener(onMessage);
  addEventListener("pageshow", onPageShow);
  if (/** @type {any} */ (document).prerendering) document.addEventListener("prerenderingchange", arrive, { once: true });
  else void arrive();
})();
