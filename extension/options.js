// @ts-check
// The settings page: which sites the content scripts may run on. The browser holds the list (its permissions); this
// page only asks it. The worker registers the scripts when the permissions change.
/// <reference types="chrome" />

import { h, patch } from "./draw.js";

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const address = /** @type {HTMLInputElement} */ (element("address"));

const manifest = chrome.runtime.getManifest();
const builtIn = new Set((manifest.content_scripts ?? []).flatMap((script) => script.matches ?? []));

/** `https://desk.example:8443/x` → `https://desk.example/*`; a bare name means `https`.
 * @param {string} text @returns {string | undefined} */
function patternOf(text) {
  const full = text.includes("://") ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  // To the browser's parser a star and a space may stand in a host; to its permissions a star is every site.
  if (!url || !/^([\w.-]+|\[[\da-f:.]+\])$/.test(url.hostname) || (url.protocol !== "https:" && url.protocol !== "http:")) return undefined;
  return `${url.protocol}//${url.hostname}/*`;
}

/** @param {string} pattern */
function name(pattern) {
  return pattern.replace(/^https:\/\//, "").replace(/\/\*$/, "");
}

async function draw() {
  const granted = (await chrome.permissions.getAll()).origins ?? [];
  const managed = await chrome.storage.managed.get("hosts").catch(() => ({}));
  const hosts = /** @type {{hosts?: unknown}} */ (managed).hosts;
  const suggested = (Array.isArray(hosts) ? hosts : []).filter((host) => !granted.includes(host));
  const own = granted.filter((origin) => !builtIn.has(origin)).sort();
  patch(element("sites"), [
    ...own.map((origin) => row(origin, "", "Remove", () => chrome.permissions.remove({ origins: [origin] }))),
    ...suggested.map((origin) =>
      row(origin, "suggested by your administrator", "Allow", () => chrome.permissions.request({ origins: [origin] })),
    ),
    ...[...builtIn].map((origin) => h("li", { key: origin }, name(origin), h("span", { class: "soft" }, "always"))),
  ]);
}

/** @param {string} origin @param {string} note @param {string} label @param {() => Promise<boolean>} act */
function row(origin, note, label, act) {
  return h(
    "li",
    { key: origin },
    h("span", {}, name(origin), note && h("span", { class: "soft" }, ` · ${note}`)),
    h(
      "button",
      { type: "button", "aria-label": `${label} ${name(origin)}`, onclick: () => void act().then(draw, say) },
      label,
    ),
  );
}

/** @param {unknown} text @param {boolean} [bad] */
function say(text, bad = true) {
  const said = element("said");
  said.textContent = String(text);
  said.classList.toggle("bad", bad);
}

element("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pattern = patternOf(address.value.trim());
  if (!pattern) return say("Type the address of one web site, such as https://desk.example");
  try {
    // Asked at once, in the click: the browser wants a gesture.
    const granted = await chrome.permissions.request({ origins: [pattern] });
    say(granted ? `Ticketgate reads tickets on ${name(pattern)} now.` : "Not allowed; nothing changed.", !granted);
    if (granted) address.value = "";
  } catch (error) {
    say(error instanceof Error ? error.message : error);
  }
  await draw();
});

element("shortcuts").addEventListener("click", () => void chrome.tabs.create({ url: "chrome://extensions/shortcuts" }));
chrome.permissions.onAdded.addListener(() => void draw());
chrome.permissions.onRemoved.addListener(() => void draw());

async function about() {
  const commands = await chrome.commands.getAll();
  element("shortcut").textContent = commands.find((each) => each.name === "activate")?.shortcut || "No shortcut";
  patch(element("about"), [
    h("dt", {}, "Version"),
    h("dd", {}, manifest.version),
    h("dt", {}, "Extension id"),
    h("dd", {}, h("code", {}, chrome.runtime.id)),
    h("dt", {}, "If something is wrong"),
    h("dd", {}, h("code", {}, "ticketgate doctor")),
  ]);
}

void draw();
void about();
