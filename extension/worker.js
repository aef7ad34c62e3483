// @ts-check
// The service worker: registers listeners, hands every event to the core, carries out what comes back. No decisions.
/// <reference types="chrome" />

import init, { Core } from "./ticketgate_wasm.js";

/** @typedef {Record<string, any>} Fields */

/** What runs in every ticket page's frames, and what comes to it where a button is to be shown. */
const PROBE = ["probe.js"], BUTTON = ["chip.js"];
const REGISTRATION = "allowed-sites";

/** What was saved for this browser run: asked for first, since the badge needs no more. */
const kept = chrome.storage.session.get(["state", "badge"]);
const badgeDrawn = kept.then(drawKeptBadge).catch(quietly);

/** Ends the wait for the badge: somebody looks at a popup that has nothing to show before the core is there.
 * @type {() => void} */
let hurry = () => {};
const hurried = /** @type {Promise<void>} */ (new Promise((resolve) => { hurry = resolve; }));

/** @type {chrome.runtime.Port | undefined} */
let native;
/** The host whose program starts while the core does, since the core always begins by asking for its port. What it says,
 * and its end, wait for the core like everything that happens. @type {string | undefined} */
let early = "com.ticketgate.host";
/** @type {Map<number, chrome.runtime.Port>} */
const pages = new Map();
let nextPage = 1;

/** The core, once the WASM is compiled and the saved state restored. Every listener waits for it. */
const ready = (async () => {
  // All of this keeps browser and processor busy, and the badge would wait for it.
  await Promise.race([badgeDrawn, hurried]);
  const compiled = init({ module_or_path: chrome.runtime.getURL("ticketgate_wasm_bg.wasm") });
  if (early) openNative(early);
  const [restored] = await Promise.all([restore(), compiled]);
  const core = new Core({ carryOut });
  core.handle(restored);
  return core;
})();
ready.catch((error) => {
  console.error("Ticketgate did not start", error);
  // An open port would keep this worker alive for nothing.
  native?.disconnect();
});

/** Draws the badge that the core said would be due by now: a worker that wakes has it long before its core.
 * @param {{badge?: {at: number, text: string, color: string}[]}} saved */
async function drawKeptBadge({ badge }) {
  const now = Date.now();
  const due = badge?.findLast(({ at }) => at <= now);
  if (!due) return;
  void chrome.action.setBadgeBackgroundColor({ color: due.color });
  await chrome.action.setBadgeText({ text: due.text });
}

/** @param {string} what @param {Record<string, unknown>} [fields] */
async function happened(what, fields = {}) {
  return (await ready).handle({ [what]: fields });
}

/** Everything that the core needs to begin, read at once. */
async function restore() {
  const [session, { rules }, local, managed, granted, tabs] = await Promise.all([
    kept,
    // Not with the badge, which would wait for them.
    chrome.storage.session.get("rules"),
    chrome.storage.local.get("memory"),
    managedAtFirst(),
    chrome.permissions.getAll(),
    chrome.tabs.query({}),
    // What is kept for good is no content script's business.
    chrome.storage.local.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" }),
  ]);
  const started = {
    id: chrome.runtime.id,
    version: chrome.runtime.getManifest().version,
    session: session.state,
    rules,
    local: local.memory,
    origins: granted.origins ?? [],
    managed,
    tabs: tabs.map((tab) => tab.id).filter((id) => id !== undefined),
  };
  return { started };
}

async function managedSettings() {
  const settings = await chrome.storage.managed.get(["hosts", "reasonTemplate", "rules"]).catch(() => ({}));
  const { hosts, reasonTemplate, rules } = /** @type {Record<string, unknown>} */ (settings);
  /** @param {unknown} list */
  const texts = (list) => (Array.isArray(list) ? list.filter((text) => typeof text === "string") : []);
  return {
    hosts: texts(hosts),
    rules: texts(rules),
    template: typeof reasonTemplate === "string" ? reasonTemplate : undefined,
  };
}

/** Right after its own start the browser takes seconds to answer, and the person has clicked by then: what comes late is
 * told when it comes. */
async function managedAtFirst() {
  const settings = managedSettings();
  const late = new Promise((resolve) => setTimeout(() => resolve(undefined), 50));
  const first = await Promise.race([settings, late]);
  if (first) return first;
  void settings.then((found) => happened("managed", { settings: found }));
  return { hosts: [], rules: [], template: undefined };
}

/** The tab in front of the person; a window of ours is never meant. */
async function frontTab() {
  const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
  if (tab && !tab.url?.startsWith(chrome.runtime.getURL(""))) return tab;
  const windows = await chrome.windows.getAll({ windowTypes: ["normal"], populate: true });
  const window = windows.find((each) => each.focused) ?? windows[0];
  return window?.tabs?.find((each) => each.active);
}

/** @param {chrome.tabs.Tab | undefined} tab */
function plainTab(tab) {
  if (tab?.id === undefined) return undefined;
  return { id: tab.id, window: tab.windowId, active: tab.active, url: tab.url };
}

/** The sender as the browser says; nothing of it comes from the message.
 * @param {chrome.runtime.MessageSender | undefined} sender */
function plainSender(sender) {
  return {
    id: sender?.id,
    origin: sender?.origin,
    url: sender?.url,
    tab: plainTab(sender?.tab),
    frame: sender?.frameId,
    document: sender?.documentId,
  };
}

// Listeners: all at once, while the script runs for the first time, so that an event that wakes the worker finds them.

chrome.runtime.onInstalled.addListener(() => void happened("installed"));
chrome.runtime.onStartup.addListener(() => void ready);
chrome.runtime.onUpdateAvailable.addListener(() => void happened("update_available"));

chrome.runtime.onMessage.addListener((message, sender, respond) => {
  happened("page", { sender: plainSender(sender), message: JSON.stringify(message) ?? "" }).then(respond, () =>
    respond(null),
  );
  return true;
});

chrome.runtime.onConnect.addListener((port) => {
  hurry();
  const number = nextPage++;
  pages.set(number, port);
  const connected = (async () => {
    const wanted = Number(new URL(port.sender?.url ?? "about:blank").searchParams.get("tab") ?? NaN);
    const front = Number.isInteger(wanted) ? await chrome.tabs.get(wanted).catch(frontTab) : await frontTab();
    await happened("connected", { port: number,
      name: port.name,
      sender: plainSender(port.sender),
      front: plainTab(front),
    });
  })();
  port.onMessage.addListener(async (intent) => {
    await connected;
    await happened("intent", { port: number, intent });
  });
  port.onDisconnect.addListener(async () => {
    pages.delete(number);
    await connected;
    await happened("disconnected", { port: number });
  });
});

chrome.alarms.onAlarm.addListener(() => void happened("alarm"));
chrome.commands.onCommand.addListener((command, tab) => {
  if (command === "activate") void happened("shortcut", { tab: plainTab(tab) });
});
chrome.notifications.onClicked.addListener((id) => void happened("notification_clicked", { id }));
chrome.notifications.onButtonClicked.addListener(
  (id, button) => void happened("notification_clicked", { id, button }),
);
chrome.tabs.onUpdated.addListener((tab, change) => {
  if (change.status) void happened("tab_updated", { tab });
});
chrome.tabs.onRemoved.addListener((tab) => void happened("tab_removed", { tab }));
chrome.permissions.onAdded.addListener(originsChanged);
chrome.permissions.onRemoved.addListener(originsChanged);
// Only this area's: what the worker saves itself would wake it again.
chrome.storage.managed.onChanged.addListener(async () => {
  await happened("managed", { settings: await managedSettings() });
});

async function originsChanged() {
  const granted = await chrome.permissions.getAll();
  await happened("origins", { origins: granted.origins ?? [] });
}

/** @param {string} host */
function openNative(host) {
  const port = chrome.runtime.connectNative(host);
  native = port;
  port.onMessage.addListener((frame) => {
    if (native === port) void happened("frame", { text: JSON.stringify(frame) });
  });
  port.onDisconnect.addListener(() => {
    const error = chrome.runtime.lastError?.message;
    if (native !== port) return;
    native = undefined;
    void happened("port_closed", { error });
  });
}

// Effects.

/** @type {Record<string, (fields: Fields) => void | Promise<unknown>>} */
const effects = {
  open_port({ host }) {
    const begun = early;
    early = undefined;
    if (begun !== host) openNative(host);
  },
  close_port() {
    const port = native;
    native = undefined;
    port?.disconnect();
  },
  send({ frame }) {
    native?.postMessage(frame);
  },
  badge({ text, color, title, coming }) {
    return Promise.all([
      chrome.action.setBadgeText({ text }),
      chrome.action.setBadgeBackgroundColor({ color }),
      chrome.action.setBadgeTextColor({ color: "#ffffff" }),
      chrome.action.setTitle({ title }),
      chrome.storage.session.set({ badge: coming }),
    ]);
  },
  tab_icon({ tab, lit, title }) {
    const name = lit ? "lit" : "dim";
    const path = Object.fromEntries([16, 32, 48].map((size) => [size, `/icons/${name}-${size}.png`]));
    return Promise.all([
      chrome.action.setIcon({ tabId: tab, path }),
      chrome.action.setTitle({ tabId: tab, title }),
    ]);
  },
  notify({ id, title, message, buttons, stay }) {
    return chrome.notifications.create(id, {
      type: "basic",
      iconUrl: chrome.runtime.getURL("icons/lit-128.png"),
      title,
      message,
      buttons: buttons.map((/** @type {string} */ label) => ({ title: label })),
      requireInteraction: stay,
    });
  },
  clear_notice({ id }) {
    return chrome.notifications.clear(id);
  },
  alarm({ at }) {
    return at === null || at === undefined
      ? chrome.alarms.clear("wake")
      : chrome.alarms.create("wake", { when: at });
  },
  push({ port, view }) {
    pages.get(port)?.postMessage(view);
  },
  keep_view({ view }) {
    return view ? chrome.storage.session.set({ view }) : chrome.storage.session.remove("view");
  },
  refuse({ port }) {
    pages.get(port)?.disconnect();
    pages.delete(port);
  },
  async tell({ tab, document, message }) {
    const answer = await chrome.tabs.sendMessage(tab, message, { documentId: document });
    // The probe keeps what the button is to show, and shows what it was told last.
    if (answer?.missing !== "chip") return;
    await chrome.scripting.executeScript({ target: { tabId: tab, documentIds: [document] }, files: BUTTON });
  },
  async read({ tab, document, frame, ask }) {
    /** @type {string | undefined} */
    let facts;
    try {
      const answer = await Promise.race([
        chrome.tabs.sendMessage(tab, { read: true }, { documentId: document }),
        nobody(tab, frame),
      ]);
      facts = answer === undefined || answer === null ? undefined : JSON.stringify(answer);
    } catch {
      // No document there any more: that is the answer.
    }
    await happened("page_read", { ask, facts });
  },
  open_popup: openPopup,
  save_session({ text }) {
    return chrome.storage.session.set({ state: text });
  },
  save_rules({ text }) {
    return chrome.storage.session.set({ rules: text });
  },
  save_local({ text }) {
    return chrome.storage.local.set({ memory: text });
  },
  inject({ tab }) {
    return inject(tab);
  },
  async register({ patterns }) {
    const old = await chrome.scripting.getRegisteredContentScripts({ ids: [REGISTRATION] });
    if (patterns.length === 0) {
      if (old.length > 0) await chrome.scripting.unregisterContentScripts({ ids: [REGISTRATION] });
      return;
    }
    const script = {
      id: REGISTRATION,
      matches: patterns,
      js: PROBE,
      allFrames: true,
      runAt: /** @type {const} */ ("document_idle"),
      persistAcrossSessions: true,
    };
    await (old.length > 0
      ? chrome.scripting.updateContentScripts([script])
      : chrome.scripting.registerContentScripts([script]));
  },
  async inject_into({ patterns }) {
    const url = patterns ?? (await chrome.permissions.getAll()).origins ?? [];
    if (url.length === 0) return;
    const tabs = await chrome.tabs.query({ url });
    await Promise.allSettled(tabs.map((tab) => (tab.id === undefined ? undefined : inject(tab.id))));
  },
  reload() {
    chrome.runtime.reload();
  },
};

/** Registrations must not overtake one another. */
let registering = Promise.resolve();

/** @param {Record<string, Fields>} effect */
function carryOut(effect) {
  const [what, fields] = Object.entries(effect)[0] ?? ["", {}];
  const carry = effects[what];
  if (!carry) return console.error("unknown effect", what);
  if (what === "register") {
    registering = registering.then(() => carry(fields)).then(() => undefined, quietly);
    return;
  }
  try {
    Promise.resolve(carry(fields)).catch(quietly);
  } catch (error) {
    quietly(error);
  }
}

/** Tabs close, documents go, pages refuse scripts: ordinary, and the core hears of it where it matters.
 * @param {unknown} error */
function quietly(error) {
  console.debug(String(error));
}

/** Fails when no script of ours is in the frame, and says nothing otherwise. A document that the browser keeps for
 * "back" lets a question wait for ever.
 * @param {number} tab @param {number} frame @returns {Promise<never>} */
async function nobody(tab, frame) {
  await chrome.tabs.sendMessage(tab, { there: true }, { frameId: frame });
  return new Promise(() => {});
}

/** @param {number} tab */
function inject(tab) {
  return chrome.scripting.executeScript({ target: { tabId: tab, allFrames: true }, files: PROBE });
}

/** The toolbar's popup, or the same page in a window of its own where the browser refuses to open it.
 * @param {Fields} fields */
async function openPopup({ tab, window }) {
  try {
    await chrome.action.openPopup(typeof window === "number" ? { windowId: window } : {});
    return;
  } catch {
    // Already open, minimised, or a window without a toolbar.
  }
  const [open] = await chrome.runtime.getContexts({ contextTypes: ["POPUP"] });
  if (open) return;
  const page = new URL(chrome.runtime.getURL("popup.html"));
  page.searchParams.set("window", "1");
  if (typeof tab === "number") page.searchParams.set("tab", String(tab));
  const [old] = await chrome.runtime.getContexts({ contextTypes: ["TAB"], documentUrls: [page.href] });
  if (old) {
    await chrome.windows.update(old.windowId, { focused: true });
    return;
  }
  await chrome.windows.create({ url: page.href, type: "popup", width: 420, height: 680, focused: true });
}

/** For tests and support: what a tab's ticket was read as.
 * @param {number} tab */
async function recognisedTicket(tab) {
  return (await ready).recognisedTicket(tab);
}
Object.assign(globalThis, { recognisedTicket });
