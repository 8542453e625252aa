// Everything works without this script: it makes pages follow what happens, and uploads say how far they are.
"use strict";

const main = document.getElementById("main");
const toggle = document.getElementById("live");
let events = null;

// What a person is busy with is left alone.
function isBusy() {
  const active = document.activeElement;
  const typing = active && main.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
  return typing || !getSelection().isCollapsed || main.querySelector("details[open], .drop.busy");
}

// Puts the new content in, part by part: an element that is the same keeps its focus and its scroll position.
function follow(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const sameShape = old.nodeName === fresh.nodeName && old.children.length === fresh.children.length && old.children.length > 0
    && old.childNodes.length === fresh.childNodes.length;
  if (!sameShape) { old.replaceWith(fresh); return; }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const pairs = [...old.childNodes].map((node, at) => [node, fresh.childNodes[at]]);
  for (const [from, to] of pairs) {
    if (from.nodeType === Node.ELEMENT_NODE && to.nodeType === Node.ELEMENT_NODE) follow(from, to);
    else if (!from.isEqualNode(to)) from.replaceWith(to.cloneNode(true));
  }
}

function show(html) {
  if (isBusy()) return;
  const fresh = new DOMParser().parseFromString(`<main>${html}</main>`, "text/html").querySelector("main");
  const wanted = main.cloneNode(false);
  wanted.append(...fresh.childNodes);
  if (main.childNodes.length === wanted.childNodes.length) follow(main, wanted);
  else main.replaceChildren(...wanted.childNodes);
}

function listen() {
  if (events || document.hidden || toggle.getAttribute("aria-pressed") !== "true") return;
  events = new EventSource(location.href);
  events.onmessage = (event) => show(event.data);
}

function rest() {
  if (events) events.close();
  events = null;
}

if (toggle && main.hasAttribute("data-live")) {
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(on));
    if (on) listen(); else rest();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  listen();
}

// Uploads: by drag and drop too, with how far they are.
function upload(form, files) {
  const output = form.querySelector("output");
  const data = new FormData();
  for (const file of files) data.append("file", file);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  form.classList.add("busy");
  request.upload.onprogress = (event) => { output.textContent = `${Math.floor((100 * event.loaded) / event.total)} %`; };
  request.onloadend = () => {
    form.classList.remove("busy");
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* no JSON: the status says it */ }
    if (request.status === 202) { output.textContent = `Accepted: ${answer.documents.length} on their way.`; form.reset(); }
    else output.textContent = answer.detail || `Refused (${request.status || "no connection"}).`;
  };
  request.send(data);
}

// On the document: the form may have been replaced since.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-drop]")) return;
  event.preventDefault();
  upload(event.target, event.target.elements.file.files);
});
for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => {
    const form = event.target.closest && event.target.closest("[data-drop]");
    if (!form) return;
    event.preventDefault();
    form.classList.toggle("over", over);
    if (name === "drop" && event.dataTransfer.files.length) upload(form, event.dataTransfer.files);
  });
}
