// @ts-check
// The part of `measure_recognition_wasm.rs` that runs in the page.

import init, { Core } from "/glue.js";

/** Calls in one timing: together they last far longer than the clock's own step. */
const BATCH = 50;
/** Messages of pages, and the tabs that send them: none of them says more than a tab may. */
const MESSAGES = 250;
const TABS = 5;

/** Compiles the core and answers what measures with it.
 * @param {string} core the WASM, in base64 */
export async function begin(core) {
  await init({ module_or_path: Uint8Array.from(atob(core), (c) => c.charCodeAt(0)) });
  return measure;
}

/** @param {{url: string, facts: string, number: string, rounds: number}} asked */
async function measure({ url, facts, number, rounds }) {
  const started = { id: "measuring", version: "1", origins: ["<all_urls>"], tabs: [1, 2, 3, 4, 5], managed: { hosts: [] } };
  const core = new Core({ carryOut: () => {} });
  core.handle({ started });
  // Another number of the same form, so that every pattern matches as before.
  const others = Array.from({ length: BATCH }, (_, at) => {
    const tail = String(10 + at);
    return facts.replaceAll(number, number.slice(0, -tail.length) + tail);
  });
  if (others.some((text) => !core.recognise(url, text))) throw new Error("no ticket");

  const senders = Array.from({ length: TABS }, (_, tab) => ({
    id: "measuring",
    origin: new URL(url).origin,
    url,
    tab: { id: 1 + tab, window: 1, active: tab === 0, url },
    frame: 0,
    document: `D${tab}`,
  }));
  for (const sender of senders) core.handle({ page: { sender, message: JSON.stringify({ page: "arrived" }) } });
  core.handle({ page: { sender: senders[0], message: `{"page":"report","facts":${facts}}` } });
  const ticket = core.recognisedTicket(1);

  /** @type {{recognise: number[], parse: number[], message: number[]}} */
  const times = { recognise: [], parse: [], message: [] };
  // Where the results go, so that no call can be left out.
  let sum = 0;
  const kinds = {
    parse: () => others.forEach((text) => (sum += JSON.parse(text).rules)),
    recognise: () => others.forEach((text) => (sum += core.recognise(url, text).length)),
  };
  for (let round = -200; round < rounds; round++) {
    for (const [kind, batch] of /** @type {["parse" | "recognise", () => void][]} */ (Object.entries(kinds))) {
      const begin = performance.now();
      batch();
      const each = ((performance.now() - begin) * 1000) / BATCH;
      if (round >= 0) times[kind].push(each);
    }
    if (round >= 0 && round < MESSAGES) {
      const message = `{"page":"report","facts":${others[round % BATCH]}}`;
      const sender = senders[round % TABS];
      const begin = performance.now();
      core.handle({ page: { sender, message } });
      times.message.push((performance.now() - begin) * 1000);
    }
    if (round % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  return { ticket, ...times, sum };
}
