// Keeps the page up to date: fetches it again every second and replaces the parts that have changed. Without this file
// the page works as well; it is then reloaded by the browser.
"use strict";

const PERIOD = 1000; // milliseconds from one look to the next
const PATIENCE = 5000; // milliseconds until a look counts as failed

let lastSeen = new Date();

function isBeingCopied(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

function replaceParts(page) {
  for (const part of document.querySelectorAll(".live")) {
    const fresh = page.getElementById(part.id);
    if (fresh === null || fresh.outerHTML === part.outerHTML || isBeingCopied(part)) continue;
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    [...part.querySelectorAll(".scroll")].forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
  }
  document.title = page.title;
}

function tellConnected(connected) {
  document.getElementById("connection").hidden = connected;
  document.documentElement.classList.toggle("stale", !connected);
  if (connected) lastSeen = new Date();
  else document.getElementById("last-seen").textContent = `${lastSeen.toISOString().slice(11, 19)} UTC`;
}

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!response.ok) throw new Error(response.statusText);
      replaceParts(new DOMParser().parseFromString(await response.text(), "text/html"));
      tellConnected(true);
    } catch {
      tellConnected(false);
    }
  }
  setTimeout(look, PERIOD);
}

setTimeout(look, PERIOD);
