// @ts-check
// The popup's port to the worker, asked for before styles and drawing code are read: a sleeping worker wakes meanwhile.
/// <reference types="chrome" />

/** What came of it before `popup.js` looks.
 * @type {{port: chrome.runtime.Port, view: unknown, gone: boolean}} */
export const begun = { port: chrome.runtime.connect({ name: "popup" }), view: undefined, gone: false };
begun.port.onMessage.addListener((view) => { begun.view = view; });
begun.port.onDisconnect.addListener(() => { begun.gone = true; });
