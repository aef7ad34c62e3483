// @ts-check
// What the worker kept for the tab in front, and if it kept nothing the port to it: both asked for before styles and drawing
// code are read, so that a sleeping worker wakes meanwhile. With something to draw the port can wait: a worker that wakes keeps
// the processor busy.
/// <reference types="chrome" />

/** What came of the port before `popup.js` looks.
 * @type {{port: chrome.runtime.Port | undefined, view: unknown}} */
export const begun = { port: undefined, view: undefined };

/** The view that was kept, if one was. @type {Promise<unknown>} */
export const kept = keptView().catch(() => undefined).then((view) => {
  if (view === undefined) connect();
  return view;
});

async function keptView() {
  // A window of ours stands beside no tab.
  if (new URLSearchParams(location.search).has("window")) return undefined;
  const [{ view }, [front]] = await Promise.all([
    /** @type {Promise<{view?: [number, unknown]}>} */ (chrome.storage.session.get("view")),
    chrome.tabs.query({ active: true, currentWindow: true }),
  ]);
  return view && view[0] === front?.id ? view[1] : undefined;
}

function connect() {
  const port = chrome.runtime.connect({ name: "popup" });
  begun.port = port;
  port.onMessage.addListener((view) => { begun.view = view; });
  port.onDisconnect.addListener(() => { begun.port = undefined; });
}
