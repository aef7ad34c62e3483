// @ts-check
// The in-page button: draws what the worker says and reports a click that a person made knowingly. It decides nothing.
//
// A page cannot be trusted with a button that grants rights, so the button stands in a closed shadow root, in the top
// layer, with a host that the page's styles cannot touch; and a click counts only if the guard finds it trusted, in
// full view, uncovered and long enough in sight. What the guard has to stop: docs/security.md. The worker puts it in where
// probe.js, which hands on what it is told, says that it is missing: most pages that are read never show a button.
"use strict";

/**
 * @typedef {"top_left" | "top_right" | "bottom_left" | "bottom_right"} Corner
 * @typedef {{corner: Corner, x: number, y: number}} Placement
 * @typedef {{token: string, label: string, detail: string, state: "ready" | "working" | "active" | "attention",
 *   one_click: boolean, placement: Placement}} View
 * @typedef {"not_trusted" | "no_focus" | "not_on_top" | "not_visible" | "clipped" | "covered" | "too_small" | "too_soon"} Refused
 */

/** The button, not in the page yet. @param {any} page the probe */
function ticketgateButton(page) {
  /** In sight, unchanged and unmoved for so long before a click counts. */
  const DWELL = 500;
  /** The smallest button that a person hits knowingly. */
  const MIN_WIDTH = 40, MIN_HEIGHT = 24;
  /** Pauses before the button is put back when the page takes it away; after the last it stays away. */
  const PUT_BACK_AFTER = [30, 100, 300, 600, 1000, 2000, 4000, 8000];
  /** So long untouched, and the page is taken to have made its peace with the button. */
  const CALM = 20_000;
  /** A worker that was woken stays awake for so long. */
  const NEAR_EVERY = 25_000;
  const MARGIN = 8, STEP = 16, BIG_STEP = 64;

  const STYLE = `
    :host {
      all: initial !important; display: block !important; position: fixed !important; width: max-content !important;
      height: max-content !important; max-width: min(470px, calc(100vw - 40px)) !important; z-index: 2147483647 !important;
      opacity: 1 !important; visibility: visible !important; pointer-events: auto !important; transition: none !important;
      animation: none !important; overflow: visible !important; background: transparent !important; border: 0 !important;
      padding: 0 !important; margin: 0 !important; contain: none !important; direction: ltr !important;
    }
    :host::before, :host::after, :host::backdrop { all: initial !important; content: none !important; display: none !important; }
    * { box-sizing: border-box; }
    .chip {
      --surface: #ffffff; --ink: #141a26; --quiet: #5a6478; --edge: #b9c1d0; --hover: #eef2fb; --press: #dfe6f6;
      --tint: rgb(36 80 216 / .08); --tint-more: rgb(36 80 216 / .16);
      --accent: #2450d8; --on-accent: #ffffff; --ring: #1740c4;
      display: flex; align-items: stretch; border: 1px solid var(--edge); border-radius: 10px; background: var(--surface);
      color: var(--ink); font: 600 13px/1.35 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; letter-spacing: 0;
      box-shadow: 0 1px 2px rgb(10 18 40 / .14), 0 6px 20px rgb(10 18 40 / .18); user-select: none; -webkit-user-select: none;
    }
    .chip[data-state="active"] { --accent: #0c7a45; }
    .chip[data-state="attention"] { --accent: #b3261e; --edge: #d99a95; }
    .chip[data-state="working"] { --accent: #5a6478; }
    @media (prefers-color-scheme: dark) {
      .chip { --surface: #1d2230; --ink: #f3f5fa; --quiet: #a9b3c7; --edge: #48516a; --hover: #282f42; --press: #323b52;
        --tint: rgb(143 176 255 / .1); --tint-more: rgb(143 176 255 / .2);
        --accent: #8fb0ff; --on-accent: #0d1730; --ring: #a8c1ff; }
      .chip[data-state="active"] { --accent: #5fd39b; --on-accent: #06301c; }
      .chip[data-state="attention"] { --accent: #ff9d94; --on-accent: #3d0906; --edge: #7d4a47; }
      .chip[data-state="working"] { --accent: #a9b3c7; }
    }
    button { all: unset; box-sizing: border-box; cursor: pointer; }
    button:hover { background: var(--hover); }
    button:active { background: var(--press); }
    button:focus-visible { outline: 2px solid var(--ring); outline-offset: -2px; }
    .grip, .close { flex: none; display: grid; place-items: center; width: 26px; color: var(--quiet); }
    .grip { cursor: grab; border-radius: 9px 0 0 9px; touch-action: none; width: 20px; }
    .grip:active { cursor: grabbing; }
    .close { border-radius: 0 9px 9px 0; }
    .body { position: relative; flex: 1 1 auto; min-width: 0; }
    .face { display: flex; align-items: center; gap: 9px; min-height: 38px; padding: 6px 10px 6px 6px; }
    /* Over the face and empty: IntersectionObserver takes anything painted on its target, children too, for a cover. */
    .act { position: absolute; inset: 0; border-radius: 4px; touch-action: none; }
    .act:hover { background: var(--tint); }
    .act:active { background: var(--tint-more); }
    .act[aria-disabled="true"] { cursor: progress; }
    .grip > *, .close > * { pointer-events: none; }
    .badge {
      flex: none; display: grid; place-items: center; width: 26px; height: 26px; border-radius: 7px; background: var(--accent);
      color: var(--on-accent);
    }
    .label {
      display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6; overflow: hidden; overflow-wrap: anywhere;
      text-wrap: pretty;
    }
    svg { display: block; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
    .spin { animation: turn .9s linear infinite; }
    @keyframes turn { to { rotate: 1turn; } }
    .note, .menu {
      position: absolute; right: 0; width: max-content; max-width: min(340px, calc(100vw - 16px)); border: 1px solid var(--edge);
      border-radius: 8px; background: var(--surface); color: var(--ink); font-weight: 400;
    }
    .spoken { position: absolute; inset: 0 auto auto 0; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    .note { padding: 8px 11px; pointer-events: none; white-space: pre-line; overflow-wrap: anywhere; }
    .menu { padding: 4px; min-width: 200px; }
    .menu button { display: block; width: 100%; padding: 7px 10px; border-radius: 5px; }
    /* Their shadows fall away from the button: one that touched it would be a cover to IntersectionObserver. */
    [data-up] .note, [data-up] .menu { bottom: calc(100% + 7px); box-shadow: 0 -3px 6px rgb(10 18 40 / .16); }
    [data-down] .note, [data-down] .menu { top: calc(100% + 7px); box-shadow: 0 3px 6px rgb(10 18 40 / .16); }
    [data-left] .note, [data-left] .menu { right: auto; left: 0; }
    [hidden] { display: none !important; }
    @media (prefers-reduced-motion: reduce) { .spin { animation-duration: 3s; } }
    @media (prefers-contrast: more) { .chip { --edge: var(--ink); --quiet: var(--ink); } }
    @media (forced-colors: active) { .chip, .note, .menu { border: 1px solid CanvasText; } .badge { border: 1px solid CanvasText; } }
    @media print { :host { display: none !important; } }
  `;

  /** Icons as SVG paths on a 16 by 16 field. */
  const ICON = {
    ready: ["M9.6 6.4a3.1 3.1 0 1 1-6.2 0 3.1 3.1 0 0 1 6.2 0", "m8.7 8.6 4.9 4.9", "m11.6 11.5 1.5-1.5"],
    active: ["m3.2 8.4 3.2 3.2 6.4-7"],
    attention: ["M8 3.2v6", "M8 12.6v.1"],
    working: ["M8 2.4a5.6 5.6 0 1 1-5.6 5.6"],
    close: ["m4.2 4.2 7.6 7.6", "m11.8 4.2-7.6 7.6"],
    grip: ["M5.6 3.6v.01", "M10.4 3.6v.01", "M5.6 8v.01", "M10.4 8v.01", "M5.6 12.4v.01", "M10.4 12.4v.01"],
  };

  /** What the person reads when the guard refuses. */
  const HINT = {
    too_soon: "The button has only just appeared or changed. Look at it, then click again.",
    no_focus: "This window is not in front. Click again.",
    other: "Something on this page covers or changes this button, so the click does not count. Use the Ticketgate icon in the toolbar.",
  };

  // ---- The elements, made once ---------------------------------------------------------------------------------

  /** @param {string} tag @param {Record<string, string>} [attributes] @param {Node[]} [children] */
  function make(tag, attributes = {}, children = []) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** @param {keyof typeof ICON} name @param {number} size */
  function icon(name, size) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" })) {
      svg.setAttribute(key, String(value));
    }
    for (const d of ICON[name]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      svg.append(path);
    }
    return svg;
  }

  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "closed" });
  const place = new CSSStyleSheet();
  const style = new CSSStyleSheet();
  style.replaceSync(STYLE);
  root.adoptedStyleSheets = [style, place];

  const label = make("span", { class: "label" });
  const badge = make("span", { class: "badge" });
  const act = make("button", { class: "act", type: "button" });
  const body = make("div", { class: "body" }, [make("div", { class: "face", "aria-hidden": "true" }, [badge, label]), act]);
  const grip = make("button", { class: "grip", type: "button", "aria-label": "Move the Ticketgate button with the arrow keys, or drag it", title: "Move" }, [icon("grip", 14)]);
  const close = make("button", { class: "close", type: "button", "aria-label": "Hide the Ticketgate button", "aria-haspopup": "menu", "aria-expanded": "false", title: "Hide" }, [icon("close", 13)]);
  const hidePage = make("button", { type: "button", role: "menuitem", tabindex: "-1" }, [new Text("Hide for this ticket")]);
  const hideSite = make("button", { type: "button", role: "menuitem", tabindex: "-1" }, [new Text("Hide on this whole site")]);
  const menu = make("div", { class: "menu", role: "menu", hidden: "" }, [hidePage, hideSite]);
  // What the note says of the button is in the button's own name; only a hint is spoken besides.
  const note = make("div", { class: "note", "aria-hidden": "true", hidden: "" });
  const spoken = make("div", { class: "spoken", role: "status" });
  const chip = make("div", { class: "chip", role: "group", "aria-label": "Ticketgate" }, [grip, body, close, menu, note, spoken]);
  root.append(chip);

  // ---- State ---------------------------------------------------------------------------------------------------

  /** @type {View | null} */
  let view = null;
  /** @type {Placement} */
  let at = { corner: "bottom_right", x: 24, y: 24 };
  /** Since when the observer has found the button in full view and nothing about it has changed. */
  let goodSince = Infinity;
  let inView = false;
  let wokenAt = -Infinity;
  /** Since when the button has had the keyboard. */
  let focusSince = Infinity;
  /** Where the button was last seen to stand in its window, and its window on the screen. @type {number[]} */
  let stood = [];
  let putBacks = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let putBackTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let calmTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let noteTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pendingTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let placeTimer;
  /** Whether the note says why a click was refused, rather than what the button does. */
  let hinting = false;
  /** The last key pressed on the button. */
  let key = { at: -Infinity, repeats: false };

  // ---- The guard -----------------------------------------------------------------------------------------------

  /** The wait starts anew: the button came into view, changed or moved. */
  function restart() {
    if (inView) goodSince = performance.now();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  function observed(entries) {
    for (const entry of entries) {
      const good = /** @type {any} */ (entry).isVisible === true && entry.intersectionRatio >= 0.99;
      if (good && !inView) goodSince = performance.now();
      inView = good;
      ratio = entry.intersectionRatio;
    }
  }
  let ratio = 0;

  const sight = new IntersectionObserver(observed, /** @type {any} */ ({
    trackVisibility: true, delay: 100, threshold: [0, 0.5, 0.9, 0.99, 1],
  }));

  /** Whether the button, and nothing else, takes a click at its middle and near its corners. @param {DOMRect} box */
  function hit(box) {
    const xs = [box.left + 9, box.right - 9], ys = [box.top + 7, box.bottom - 7];
    const points = [[box.left + box.width / 2, box.top + box.height / 2], ...xs.flatMap((x) => ys.map((y) => [x, y]))];
    return points.every(([x, y]) => document.elementFromPoint(x ?? 0, y ?? 0) === host
      && root.elementFromPoint(x ?? 0, y ?? 0) === act);
  }

  /** Why this click does not count; `null` if it does. @param {Event} event @returns {Refused | null} */
  function refused(event) {
    observed(sight.takeRecords());
    if (!event.isTrusted) return "not_trusted";
    if (document.visibilityState !== "visible" || !document.hasFocus()) return "no_focus";
    if (!host.matches(":popover-open")) return "not_on_top";
    const box = act.getBoundingClientRect();
    if (box.width < MIN_WIDTH || box.height < MIN_HEIGHT) return "too_small";
    if (ratio < 0.99) return "clipped";
    if (!inView) return "not_visible";
    if (!hit(box)) return "covered";
    const now = performance.now();
    if (moved(box) || now - goodSince < DWELL) return "too_soon";
    // A click by a key: the button must have had the keyboard as long as it has been in sight, and the key must have been
    // pressed for it. (A screen reader's click comes without a key.)
    if (now - key.at < 3000 && (key.repeats || now - focusSince < DWELL)) return "too_soon";
    return null;
  }

  /** Whether the button is not where it was; the wait starts anew then. A page may move a window that it opened, and
   * nobody is told of that: it is looked at when the pointer comes and at the click. @param {DOMRect} box */
  function moved(box) {
    const stands = [box.left, box.top, box.width, box.height, screenX, screenY];
    const same = stands.every((n, i) => Math.abs(n - (stood[i] ?? NaN)) < 1);
    stood = stands;
    if (!same) restart();
    return !same;
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    if (!view || view.state === "working" || act.ariaBusy === "true" || page.orphaned()) return;
    const why = refused(event);
    if (why) {
      void page.send({ page: "refused_click", why });
      if (event.isTrusted) say(why === "too_soon" || why === "no_focus" ? HINT[why] : HINT.other, true);
      return;
    }
    // What the page says at this very moment: the worker compares it with what the button said.
    const facts = page.read();
    if (!facts) return;
    void page.send({ page: "click", token: view.token, facts });
    busy(true);
    clearTimeout(pendingTimer);
    pendingTimer = setTimeout(() => busy(view?.state === "working"), 4000);
  }

  /** The worker may be asleep, and wakes while the person makes up their mind. */
  function near() {
    const now = performance.now();
    if (view?.state !== "ready" || now - wokenAt < NEAR_EVERY) return;
    wokenAt = now;
    void page.send({ page: "near" });
  }

  // ---- Drawing -------------------------------------------------------------------------------------------------

  /** @param {boolean} on */
  function busy(on) {
    act.ariaBusy = String(on);
    act.ariaDisabled = String(on);
    const name = on ? "working" : view?.state ?? "ready";
    const picture = icon(name, name === "working" ? 15 : 17);
    if (name === "working") picture.setAttribute("class", "spin");
    badge.replaceChildren(picture);
  }

  function draw() {
    if (!view) return;
    chip.dataset["state"] = view.state;
    label.textContent = view.label;
    // The words on the button come first: who speaks them to the browser means this button.
    act.ariaLabel = `${view.label}. ${view.detail}`;
    if (view.one_click) act.removeAttribute("aria-haspopup");
    else act.setAttribute("aria-haspopup", "dialog");
    clearTimeout(pendingTimer);
    busy(view.state === "working");
    if (hinting) say(null);
    else if (!note.hidden) note.textContent = view.detail;
    put();
  }

  /** Shows a note beside the button, or takes it away. @param {string | null} text @param {boolean} [hint] */
  function say(text, hint = false) {
    clearTimeout(noteTimer);
    hinting = hint && text !== null;
    note.hidden = text === null || !menu.hidden;
    note.textContent = text;
    spoken.textContent = hinting ? text : "";
    if (hinting) noteTimer = setTimeout(() => say(null), 7000);
  }

  /** The window without its scroll bars. */
  const room = () => ({ width: document.documentElement.clientWidth || innerWidth, height: innerHeight });

  /** Puts the button where `at` says, inside the window. */
  function put() {
    const { width, height } = room();
    const bottom = at.corner.startsWith("bottom"), right = at.corner.endsWith("right");
    const most = (/** @type {number} */ space, /** @type {number} */ size) => Math.max(MARGIN, space - size - MARGIN);
    const x = Math.min(Math.max(at.x, MARGIN), most(width, host.offsetWidth));
    const y = Math.min(Math.max(at.y, MARGIN), most(height, host.offsetHeight));
    const inset = `${bottom ? "auto" : y + "px"} ${right ? x + "px" : "auto"} ${bottom ? y + "px" : "auto"} ${right ? "auto" : x + "px"}`;
    place.replaceSync(`:host { inset: ${inset} !important; }`);
    const box = host.getBoundingClientRect();
    const up = box.top > height / 2;
    chip.toggleAttribute("data-up", up);
    chip.toggleAttribute("data-down", !up);
    chip.toggleAttribute("data-left", box.left + box.width / 2 < width / 2);
    moved(act.getBoundingClientRect());
  }

  /** Into the page and the top layer. */
  function attach() {
    if (!view) return;
    host.setAttribute("popover", "manual");
    if (host.parentNode !== document.documentElement) document.documentElement.append(host);
    try {
      if (!host.matches(":popover-open")) host.showPopover();
    } catch {
      // A page that moves the host about while it opens: the next try is on its way.
    }
    put();
  }

  function isThere() {
    return host.parentNode === document.documentElement && host.matches(":popover-open");
  }

  /** The page took the button away: put it back, ever later, and in the end leave it to the toolbar. */
  function disturbed() {
    inView = false;
    goodSince = Infinity;
    if (!view || isThere() || putBackTimer !== undefined || page.orphaned()) return;
    const pause = PUT_BACK_AFTER[putBacks];
    if (pause === undefined) return;
    putBacks += 1;
    putBackTimer = setTimeout(() => {
      putBackTimer = undefined;
      attach();
      if (!isThere()) disturbed();
    }, pause);
    clearTimeout(calmTimer);
    calmTimer = setTimeout(() => { putBacks = 0; }, CALM);
  }

  const removals = new MutationObserver(() => { if (view && !isThere()) disturbed(); });

  /** @param {View} next */
  function show(next) {
    const before = JSON.stringify(view);
    const first = view === null;
    // A bare picture, SVG or XML document has no place for a button.
    if (!(document.documentElement instanceof HTMLElement)) return;
    if (before === JSON.stringify(next)) {
      if (!isThere()) attach();
      return;
    }
    view = next;
    // A view that was on its way while the person moved the button does not move it back.
    if (placeTimer === undefined) at = next.placement;
    restart();
    if (first) {
      putBacks = 0;
      attach();
      draw();
      sight.observe(act);
      removals.observe(document.documentElement, { childList: true, attributes: false });
    } else {
      draw();
      if (!isThere()) attach();
    }
  }

  function hide() {
    view = null;
    sight.disconnect();
    removals.disconnect();
    for (const timer of [putBackTimer, calmTimer, noteTimer, pendingTimer, placeTimer]) clearTimeout(timer);
    putBackTimer = placeTimer = undefined;
    inView = false;
    goodSince = Infinity;
    openMenu(false);
    say(null);
    host.remove();
  }

  // ---- Moving and hiding ---------------------------------------------------------------------------------------

  /** The place of the button after a move by so much, as distances from the corner that is nearest then.
   * @param {DOMRect} box @param {number} dx @param {number} dy */
  function moveTo(box, dx, dy) {
    const { width, height } = room();
    const left = Math.min(Math.max(box.left + dx, MARGIN), Math.max(MARGIN, width - box.width - MARGIN));
    const top = Math.min(Math.max(box.top + dy, MARGIN), Math.max(MARGIN, height - box.height - MARGIN));
    const right = width - left - box.width, bottom = height - top - box.height;
    const vertical = top < bottom ? "top" : "bottom", horizontal = left < right ? "left" : "right";
    const whole = (/** @type {number} */ n) => Math.min(Math.max(Math.round(n), 0), 65_535);
    at = { corner: `${vertical}_${horizontal}`, x: whole(Math.min(left, right)), y: whole(Math.min(top, bottom)) };
    put();
  }

  function moveDone() {
    clearTimeout(placeTimer);
    placeTimer = setTimeout(() => {
      placeTimer = undefined;
      if (view) void page.send({ page: "placement", placement: at });
    }, 300);
  }

  /** @param {PointerEvent} down */
  function drag(down) {
    if (!down.isTrusted || down.button !== 0) return;
    const from = host.getBoundingClientRect();
    const target = /** @type {HTMLElement} */ (down.currentTarget);
    // On the button itself a small tremble is still a click.
    const slack = target === act ? 8 : 2;
    let moving = false;
    const move = (/** @type {PointerEvent} */ event) => {
      const dx = event.clientX - down.clientX, dy = event.clientY - down.clientY;
      if (!moving && Math.hypot(dx, dy) < slack) return;
      if (!moving) {
        moving = true;
        target.setPointerCapture(down.pointerId);
        say(null);
        openMenu(false);
      }
      moveTo(from, dx, dy);
    };
    const end = () => {
      target.removeEventListener("pointermove", move);
      target.removeEventListener("pointerup", end);
      target.removeEventListener("pointercancel", end);
      if (moving) {
        // The click that ends a move is none.
        target.addEventListener("click", swallow, { capture: true, once: true });
        setTimeout(() => target.removeEventListener("click", swallow, { capture: true }), 50);
        moveDone();
      }
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("pointerup", end);
    target.addEventListener("pointercancel", end);
  }

  /** @param {Event} event */
  function swallow(event) {
    event.stopImmediatePropagation();
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  function moveByKey(event) {
    const step = event.shiftKey ? BIG_STEP : STEP;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!by || !event.isTrusted) return;
    event.preventDefault();
    moveTo(host.getBoundingClientRect(), by[0] ?? 0, by[1] ?? 0);
    moveDone();
  }

  /** @param {boolean} open */
  function openMenu(open) {
    if (open) say(null);
    menu.hidden = !open;
    close.ariaExpanded = String(open);
    if (open) hidePage.focus();
  }

  /** @param {KeyboardEvent} event */
  function menuKey(event) {
    if (event.key === "Escape" || event.key === "Tab") {
      openMenu(false);
      close.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      (root.activeElement === hidePage ? hideSite : hidePage).focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {"page" | "site"} what */
  const hideFor = (what) => (/** @type {Event} */ event) => {
    if (!event.isTrusted) return;
    void page.send({ page: "hide_button", for: what });
    hide();
  };

  // ---- Listening -----------------------------------------------------------------------------------------------

  act.addEventListener("click", clicked);
  act.addEventListener("pointerdown", drag);
  act.addEventListener("pointerenter", () => void moved(act.getBoundingClientRect()));
  act.addEventListener("pointerenter", near);
  act.addEventListener("focus", near);
  act.addEventListener("focus", () => { focusSince = performance.now(); });
  act.addEventListener("blur", () => { focusSince = Infinity; });
  act.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") key = { at: performance.now(), repeats: event.repeat };
  });
  act.addEventListener("pointerdown", () => { key.at = -Infinity; });
  grip.addEventListener("pointerdown", drag);
  grip.addEventListener("keydown", moveByKey);
  close.addEventListener("click", (event) => { if (event.isTrusted) openMenu(menu.hidden !== false); });
  menu.addEventListener("keydown", menuKey);
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget)) && event.relatedTarget !== close) openMenu(false);
  });
  hidePage.addEventListener("click", hideFor("page"));
  hideSite.addEventListener("click", hideFor("site"));
  for (const [enter, leave] of [["pointerenter", "pointerleave"], ["focus", "blur"]]) {
    act.addEventListener(enter ?? "", () => {
      if (view && !hinting && (enter === "pointerenter" || act.matches(":focus-visible"))) say(view.detail);
    });
    act.addEventListener(leave ?? "", () => { if (!hinting) say(null); });
  }
  host.addEventListener("toggle", () => { if (!isThere()) disturbed(); });
  // The page's own shortcuts and "click outside" handlers are not meant for what happens on our button.
  for (const kind of ["keydown", "keyup", "keypress", "click", "dblclick", "pointerdown", "pointerup", "mousedown", "mouseup", "contextmenu", "focusin", "focusout"]) {
    root.addEventListener(kind, (event) => event.stopPropagation());
  }

  function resized() {
    if (view) put();
  }
  function unseen() {
    restart();
  }
  /** The note covers a part of the page: it goes without a move of pointer or keyboard. @param {KeyboardEvent} event */
  function dismiss(event) {
    if (event.key === "Escape" && event.isTrusted) say(null);
  }
  addEventListener("resize", resized);
  addEventListener("keydown", dismiss, { capture: true });
  addEventListener("focus", unseen);
  document.addEventListener("visibilitychange", unseen);

  function stop() {
    hide();
    removeEventListener("resize", resized);
    removeEventListener("keydown", dismiss, { capture: true });
    removeEventListener("focus", unseen);
    document.removeEventListener("visibilitychange", unseen);
  }

  return { show, hide, stop };
}

/** @type {any} */ (globalThis).ticketgatePage?.bring(ticketgateButton);
