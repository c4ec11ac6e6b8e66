// Keeps the page up to date: fetches it again every second and replaces the parts that have changed, and at once while
// somebody types into the search. Without this file the page works as well; it is then reloaded by the browser.
"use strict";

const PERIOD = 1000; // milliseconds from one look to the next
const PATIENCE = 5000; // milliseconds until a look counts as failed

const TYPING = 150; // milliseconds of stillness until what was typed is searched for
const PRESSING = 1000; // milliseconds for which a button that is held down keeps the page as it is

let lastSeen = new Date();
let opened = new Map(); // the lists that somebody has opened or closed, by their id
let typing = 0;
let pressed = -Infinity; // since when a button of the mouse is held down

function isBeingCopied(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

function replaceParts(page) {
  if (performance.now() - pressed < PRESSING) return; // what is replaced between press and release gets no click
  for (const part of document.querySelectorAll(".live")) {
    const fresh = page.getElementById(part.id);
    if (fresh === null || fresh.outerHTML === part.outerHTML || isBeingCopied(part)) continue;
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    for (const list of part.querySelectorAll("details")) opened.set(list.id, list.open);
    part.replaceChildren(...fresh.childNodes);
    for (const list of part.querySelectorAll("details")) list.open = opened.get(list.id) ?? list.open;
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

async function refresh() {
  const address = location.href;
  try {
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(response.statusText);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (address !== location.href) return; // somebody has searched for something else meanwhile
    replaceParts(page);
    tellConnected(true);
  } catch {
    tellConnected(false);
  }
}

async function look() {
  if (!document.hidden) await refresh();
  setTimeout(look, PERIOD);
}

function search(input) {
  const address = new URL(location.href);
  address.hash = "";
  for (const name of ["page", "route"]) address.searchParams.delete(name);
  if (input.value.trim() === "") address.searchParams.delete("q");
  else address.searchParams.set("q", input.value);
  history.replaceState(null, "", address);
  opened = new Map();
  refresh();
}

document.querySelector("input[name=q]").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING, event.target);
});

document.addEventListener("pointerdown", () => { pressed = performance.now(); });
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = -Infinity; });

setTimeout(look, PERIOD);
