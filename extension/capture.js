// @ts-check
// Shows how a tab's page is built, for a report: takes it, lets the person read and change it, and saves it as a file.
/// <reference types="chrome" />

/** As much of all frames together. */
const LENGTH_MAX = 200_000;

const text = /** @type {HTMLTextAreaElement} */ (document.getElementById("text"));
const save = /** @type {HTMLButtonElement} */ (document.getElementById("save"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));

/** @param {number} tab */
async function take(tab) {
  const target = { tabId: tab, allFrames: true };
  const frames = await chrome.scripting.executeScript({ target, files: ["structure.js"] });
  frames.sort((a, b) => a.frameId - b.frameId);
  const parts = frames.map((frame, at) => {
    const name = frame.frameId === 0 ? "Page" : `Frame ${at}`;
    return `${name} ${typeof frame.result === "string" ? frame.result : "could not be read"}\n`;
  });
  const { version } = chrome.runtime.getManifest();
  return `Ticketgate ${version}, structure of a page\n\n${parts.join("\n")}`.slice(0, LENGTH_MAX);
}

save.addEventListener("click", () => {
  const file = URL.createObjectURL(new Blob([text.value], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = file;
  link.download = "ticketgate-page-structure.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(file), 10_000);
  said.textContent = "Saved in your downloads.";
});

async function show() {
  try {
    text.value = await take(Number(new URL(location.href).searchParams.get("tab") ?? NaN));
    text.focus();
    text.setSelectionRange(0, 0);
  } catch {
    save.disabled = true;
    said.textContent = "The page cannot be read any more. Go back to it and open Ticketgate again.";
  }
}
void show();
