// Brings the page up to date when the server says that something on it changed. All content is made on the server;
// what is equal stays as it is, so that focus, scrolling, selection and what was opened by hand are kept.
const main = document.querySelector("main");
const light = document.getElementById("live");
const news = document.getElementById("news");
const PACE = 700; // milliseconds between two requests
const watch = main.dataset.watch.split(" ").filter(Boolean);
const subjects = watch.filter((item) => item.startsWith("@")).map((item) => item.slice(1));
const kinds = watch.filter((item) => !item.startsWith("@"));
const toggled = new Map();
let source = null;
let last = 0;
let timer = 0;

function concerns(line) {
  const [kind, subject] = [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)];
  return kinds.some((item) => kind.startsWith(item)) && (!subjects.length || subjects.includes(subject));
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  if (from.localName === "details") from.open = toggled.get(from.id) ?? to.open;
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
}

function children(from, to) {
  const ids = new Set([...from.children].map((item) => item.id).filter(Boolean));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    // What was here and is gone goes, what is new comes before what stays: nothing that stays is moved.
    if (next.id && ids.has(next.id)) while (at && at.id !== next.id) { const gone = at; at = at.nextSibling; gone.remove(); }
    if (at && alike(at, next)) { const here = at; at = at.nextSibling; morph(here, next); }
    else from.insertBefore(next, at);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) { if (from.data !== to.data) from.data = to.data; return; }
  if (from.isEqualNode(to)) return;
  attributes(from, to);
  children(from, to);
}

function said() { return [...main.querySelectorAll("[data-announce]")].map((item) => item.textContent.trim()).join(", "); }

async function refresh() {
  last = Date.now();
  const response = await fetch(location.href, { cache: "no-store" });
  if (response.redirected && new URL(response.url).pathname === "/login") { location.reload(); return; }
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const before = said();
  morph(main, page.querySelector("main"));
  document.title = page.title;
  if (said() !== before) news.textContent = said();
}

function soon() {
  if (timer) return;
  timer = setTimeout(() => refresh().catch(() => {}).finally(() => { timer = 0; }), Math.max(0, last + PACE - Date.now()));
}

function listen() {
  source = new EventSource("/events");
  source.onopen = () => { light.className = "on"; soon(); };
  source.onerror = () => { light.className = "off"; };
  source.onmessage = (event) => { if (JSON.parse(event.data).some(concerns)) soon(); };
}

// Browsers open six connections to a server: pages that nobody looks at must not hold one each.
function shown() {
  if (document.hidden && source) { source.close(); source = null; }
  else if (!document.hidden && !source) listen();
}

function label(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

function lasting(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
}

function tick() {
  const now = Date.now();
  const write = (item, text) => { if (item.textContent !== text) item.textContent = text; };
  for (const item of main.querySelectorAll("time")) write(item, label((now - Date.parse(item.dateTime)) / 1000));
  for (const item of main.querySelectorAll("[data-since]")) write(item, lasting(Math.max(0, (now - Date.parse(item.dataset.since)) / 1000)));
}

main.addEventListener("toggle", (event) => { if (event.target.id) toggled.set(event.target.id, event.target.open); }, true);
if (watch.length) {
  light.hidden = false;
  document.addEventListener("visibilitychange", shown);
  shown();
}
setInterval(tick, 1000);
