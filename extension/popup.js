// @ts-check
// The popup: draws the view that the worker sends, and sends back what the person wants. Knows no rule and no text
// of its own but the names of its controls.
/// <reference types="chrome" />

import { begun, kept } from "./connect.js";
import { command, copyButton, h, patch, words } from "./draw.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./view.js").Button} Button */
/** @typedef {import("./view.js").Card} Card */
/** @typedef {import("./view.js").Choice} Choice */
/** @typedef {import("./view.js").FormView} FormView */
/** @typedef {import("./view.js").JobView} JobView */
/** @typedef {import("./view.js").Note} Note */
/** @typedef {import("./view.js").Step} Step */
/** @typedef {import("./view.js").Trouble} Trouble */

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const announce = /** @type {HTMLElement} */ (document.getElementById("announce"));
const foot = /** @type {HTMLElement} */ (document.getElementById("foot"));

if (new URL(location.href).searchParams.has("window")) document.documentElement.classList.add("window");
document.getElementById("options")?.addEventListener("click", () => void chrome.runtime.openOptionsPage());

/** @type {chrome.runtime.Port | undefined} */
let port;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let connecting;
/** @type {View | undefined} */
let last;
/** What the worker kept is on the screen for so long, in milliseconds, before the worker is asked. */
const DRAWN_FIRST = 40;

function connect(next = chrome.runtime.connect({ name: "popup" })) {
  clearTimeout(connecting);
  port = next;
  port.onMessage.addListener((view) => draw(/** @type {View} */ (view)));
  // The worker was stopped or replaced while the popup is open: it starts again with the new connection.
  port.onDisconnect.addListener(() => { connecting = setTimeout(connect, 250); });
  return next;
}
/** @param {import("./view.js").Intent} intent */
function send(intent) {
  try {
    (port ?? connect()).postMessage(intent);
  } catch {
    // Between two connections; the person sees nothing happen and clicks again.
  }
}

/** @param {View} view */
function draw(view) {
  last = view;
  main.setAttribute("aria-busy", String(view.loading));
  if (announce.textContent !== view.announce) announce.textContent = view.announce;
  foot.textContent = view.foot;
  const hadKeyboard = main.contains(document.activeElement);
  patch(main, [
    view.trouble && troubleCard(view.trouble),
    ...view.notices.map((note, i) => h("p", { key: `notice${i}`, class: `box ${note.tone}` }, words(note.text))),
    view.job && jobCard(view.job),
    ...view.sessions.map(sessionCard),
    view.loading && h("p", { key: "loading", class: "loading" }, "Asking the broker…"),
    view.form && formCard(view.form),
    view.allow && allowCard(view.allow),
    view.report && reportCard(view.report),
  ]);
  // What had it went: the next Tab begins where that stood, not at the top of the page.
  if (hadKeyboard && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
}

/** @param {Button | null | undefined} button @param {string} [look] */
function intentButton(button, look = "") {
  if (!button) return null;
  const blocked = button.disabled !== null || button.busy;
  return h(
    "button",
    {
      key: Object.keys(button.intent)[0],
      type: "button",
      class: look,
      "aria-disabled": blocked ? "true" : null,
      "aria-busy": button.busy ? "true" : null,
      title: button.disabled,
      onclick: () => blocked || send(button.intent),
    },
    button.label,
  );
}

/** @param {Step[]} steps */
function stepList(steps) {
  if (steps.length === 0) return null;
  return h(
    "ol",
    { class: "steps" },
    ...steps.map((step) => h("li", {}, h("span", {}, words(step.text)), step.command && command(step.command))),
  );
}

/** @param {Trouble} trouble */
function troubleCard(trouble) {
  const works = trouble.tone === "working";
  // The same elements whatever it says: a button that has the keyboard keeps it.
  return h(
    "section",
    { key: "trouble", class: `card ${trouble.tone}`, "aria-labelledby": "trouble-title" },
    h(
      "h2",
      { id: "trouble-title", class: works ? "with-spinner" : null },
      works && h("span", { class: "spinner" }),
      trouble.title,
    ),
    h("p", {}, words(trouble.text)),
    stepList(trouble.steps),
    h("div", { class: "row" }, intentButton(trouble.button, "first")),
  );
}

/** @param {JobView} job */
function jobCard(job) {
  const works = job.tone === "working";
  return h(
    "section",
    { key: "job", class: `card ${job.tone}`, "aria-labelledby": "job-title", "aria-busy": String(works) },
    works
      ? h("div", { class: "with-spinner" }, h("span", { class: "spinner" }), h("h2", { id: "job-title" }, job.title))
      : h("h2", { id: "job-title" }, job.title),
    h("p", { class: works ? "sub" : "" }, words(job.text)),
    stepList(job.steps),
    (job.retry || job.dismiss) &&
      (job.change_first
        ? h("div", { class: "row" }, intentButton(job.dismiss, "first"), intentButton(job.retry))
        : h("div", { class: "row" }, intentButton(job.retry, "first"), intentButton(job.dismiss))),
  );
}

const AROUND = 2 * Math.PI * 34;

/** @param {Card} card */
function sessionCard(card) {
  const title = `session-${card.id}`;
  if (card.tone === "quiet") return overCard(card, title);
  const head = h(
    "div",
    { class: card.ring ? "" : "plainhead" },
    h("h2", { id: title }, card.title),
    h("p", { class: "sub" }, card.subtitle),
    card.state && h("p", { class: "state" }, card.tone === "working" && h("span", { class: "spinner" }), card.state),
    card.ends && h("p", { class: "sub" }, card.ends),
  );
  return h(
    "section",
    { key: title, class: `card session ${card.tone}`, "aria-labelledby": title },
    h("div", { class: "session-head" }, card.ring && ring(card.ring), head),
    card.note && h("p", { class: `box ${card.note.tone}` }, words(card.note.text)),
    card.counts && h("p", { class: `box ${card.counts.tone}` }, words(card.counts.text)),
    card.account && accountLine(card.account),
    card.parts.length > 0 && h("ul", { class: "parts" }, ...card.parts.map(partItem)),
    (card.copy_password || card.extend || card.end) &&
      h(
        "div",
        { class: "row" },
        intentButton(card.copy_password, "first"),
        intentButton(card.extend),
        intentButton(card.end, "danger"),
      ),
    card.ticket &&
      h("p", { class: "sub" }, ticketLine(card.ticket)),
    (card.rights.length > 0 || card.limits) &&
      h(
        "details",
        {},
        h("summary", {}, "Rights and what an end stops"),
        card.rights.length > 0 && h("ul", { class: "rights" }, ...card.rights.map((right) => h("li", {}, right))),
        card.limits && h("p", {}, card.limits),
      ),
  );
}

/** @param {string} account */
function accountLine(account) {
  // A long one is broken before its domain, if anywhere.
  const at = account.indexOf("@");
  const name = at > 0 ? [account.slice(0, at), h("wbr", {}), account.slice(at)] : account;
  return h("div", { class: "account" }, h("code", { title: "User name" }, name), copyButton(account, "Copy name"));
}

/** What a session has in one of its directories. @param {import("./view.js").PartCard} part */
function partItem(part) {
  return h(
    "li",
    { key: part.directory, class: `part ${part.tone}`, role: "group", "aria-label": part.directory },
    h(
      "p",
      { class: "sub" },
      h("strong", {}, part.directory),
      part.state && " · ",
      part.state && h("span", { class: "state" }, part.state),
      part.rights.length > 0 && ` · ${part.rights.join(", ")}`,
    ),
    part.account && accountLine(part.account),
    part.copy_password && h("div", { class: "row" }, intentButton(part.copy_password, "first")),
  );
}

/** A session that is over: one short card, since the next thing to do stands below it.
 * @param {Card} card @param {string} title */
function overCard(card, title) {
  return h(
    "section",
    { key: title, class: "card quiet", "aria-labelledby": title },
    h("h2", { id: title }, `${card.title} · ${card.subtitle}`),
    h("p", { class: "state" }, card.state),
  );
}

/** @param {import("./view.js").Ring} left */
function ring(left) {
  return h(
    "div",
    { class: "ring", role: "img", "aria-label": left.words },
    h(
      "svg",
      { viewBox: "0 0 76 76", "aria-hidden": "true" },
      h("circle", { class: "way", cx: "38", cy: "38", r: "34" }),
      h("circle", {
        class: "left",
        cx: "38",
        cy: "38",
        r: "34",
        "stroke-dasharray": AROUND.toFixed(2),
        "stroke-dashoffset": (AROUND * (1 - left.part)).toFixed(2),
      }),
    ),
    h("span", { class: left.clock.length > 5 ? "clock long" : "clock", "aria-hidden": "true" }, left.clock),
  );
}

/** @param {import("./view.js").TicketLine} ticket */
function ticketLine({ url, text }) {
  return url ? h("a", { href: url, target: "_blank", rel: "noreferrer" }, text) : text;
}

/** @param {FormView} form */
function formCard(form) {
  const body = formBody(form);
  const fold = (/** @type {any} */ inner) =>
    h("details", { class: "more" }, h("summary", {}, form.title), inner);
  return h(
    "section",
    { key: form.folded ? "form-folded" : "form", class: "card", "aria-label": form.title },
    form.folded ? fold(body) : body,
  );
}

/** @param {FormView} form */
function formBody(form) {
  const { activate } = form;
  const missing = activate.disabled;
  return h(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        if (!missing && !activate.busy) send(activate.intent);
      },
    },
    form.caution && h("p", { key: "caution", class: `box ${form.caution.tone}`, role: "alert" }, form.caution.text),
    form.ticket
      ? h(
          "div",
          { key: "ticket" },
          !form.folded && h("p", { class: "sub" }, form.title),
          h("p", { class: "ticket" }, ticketLine(form.ticket)),
          form.said && h("p", { class: "sub" }, form.said),
        )
      : !form.folded && h("p", { key: "title", class: "sub" }, form.title),
    form.number_shown && numberField(form),
    form.use_page && h("div", { key: "use", class: "row" }, intentButton(form.use_page)),
    customerField(form),
    form.policies.length > 0 && choices("policy", "Rights", form.policies, form.policy_mark),
    form.durations.length > 0 && choices("duration", "For", form.durations, null),
    reasonField(form),
    missing && h("p", { key: "missing", id: "missing", class: "missing" }, missing),
    h(
      "button",
      {
        key: "activate",
        type: "submit",
        class: "first",
        "aria-disabled": missing || activate.busy ? "true" : null,
        "aria-busy": activate.busy ? "true" : null,
        "aria-describedby": missing ? "missing" : null,
      },
      activate.label,
    ),
    form.limits && h("details", { key: "limits" }, h("summary", {}, "What an end stops"), h("p", {}, form.limits)),
    form.show_button && h("div", { key: "show", class: "row" }, intentButton(form.show_button, "plain")),
  );
}

/** @param {Note | null} note */
function mark(note) {
  return note && h("span", { class: `note ${note.tone}` }, note.text);
}

/** @param {FormView} form */
function numberField(form) {
  return h(
    "div",
    { key: "number", class: "field" },
    h("label", { for: "number" }, form.number_required ? "Ticket number" : "Ticket number (if there is one)"),
    h("input", {
      id: "number",
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      serial: form.serial,
      value: form.number,
      oninput: (/** @type {any} */ event) => send({ edit_ticket: { text: event.target.value } }),
    }),
  );
}

/** @param {FormView} form */
function customerField(form) {
  const chosen = form.customers.findIndex((choice) => choice.chosen);
  return h(
    "div",
    { key: "customer", class: "field" },
    h("label", { for: "customer" }, "Customer", mark(form.customer_mark)),
    form.suggested.length > 0 &&
      h(
        "fieldset",
        { key: "suggested", class: "suggested" },
        h("legend", {}, "Suggested"),
        pills("suggested", form.suggested),
      ),
    h(
      "select",
      {
        key: "select",
        id: "customer",
        chosen: String(chosen),
        onchange: (/** @type {any} */ event) => {
          const choice = last?.form?.customers[Number(event.target.value)];
          if (choice) send(choice.intent);
        },
      },
      h("option", { key: "-1", value: "-1", disabled: "" }, "Pick a customer…"),
      ...form.customers.map((choice, i) => h("option", { key: String(i), value: String(i) }, choice.label)),
    ),
  );
}

/** @param {string} name @param {string} label @param {Choice[]} all @param {Note | null} note */
function choices(name, label, all, note) {
  return h(
    "fieldset",
    { key: name, class: "field" },
    h("legend", {}, label, mark(note)),
    pills(name, all),
  );
}

/** @param {string} name @param {Choice[]} all */
function pills(name, all) {
  return h(
    "div",
    { class: "pills" },
    ...all.map((choice) =>
      h(
        "label",
        { key: choice.label, class: "pill" },
        h("input", { type: "radio", name, checked: choice.chosen, onchange: () => send(choice.intent) }),
        h("span", {}, choice.label),
      ),
    ),
  );
}

/** @param {FormView} form */
function reasonField(form) {
  return h(
    "div",
    { key: "reason", class: "field" },
    h("label", { for: "reason" }, "Reason"),
    h("textarea", {
      id: "reason",
      rows: "2",
      maxlength: String(form.reason_max),
      serial: form.serial,
      value: form.reason,
      oninput: (/** @type {any} */ event) => send({ edit_reason: { text: event.target.value, serial: form.serial } }),
      onkeydown: submitByEnter,
    }),
  );
}

/** The reason is one line that wraps: Enter activates there as in every other field of the form.
 * @param {KeyboardEvent} event */
function submitByEnter(event) {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  /** @type {HTMLTextAreaElement} */ (event.currentTarget).form?.requestSubmit();
}

/** @param {import("./view.js").Allow} allow */
function allowCard(allow) {
  return h(
    "section",
    { key: "allow", class: "card" },
    h("p", { class: "sub" }, allow.text),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "button", onclick: () => void chrome.permissions.request({ origins: [allow.pattern] }) },
        allow.label,
      ),
    ),
  );
}

/** @param {import("./view.js").Report} report */
function reportCard(report) {
  const page = chrome.runtime.getURL(`capture.html?tab=${report.tab}`);
  return h(
    "section",
    { key: "report", class: "card quiet", "aria-label": report.title },
    h(
      "details",
      {},
      h("summary", {}, report.title),
      h("p", {}, report.text),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => void chrome.tabs.create({ url: page }) }, report.label)),
    ),
  );
}

// Last, when every name above has its value: a view may have come before this file was read.
const first = await kept;
if (first === undefined) {
  connect(begun.port);
  if (begun.view) draw(/** @type {View} */ (begun.view));
} else {
  // Whatever becomes of the drawing.
  connecting = setTimeout(connect, DRAWN_FIRST);
  draw(/** @type {View} */ (first));
}
