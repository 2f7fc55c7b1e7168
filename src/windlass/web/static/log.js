// A job's log from where the page ends, as it is written; stays at its end until the reader scrolls up.
// `logtext.py` tells lines apart in the same way.
const box = document.getElementById("log");
const state = document.getElementById("log-state");
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z /;
const COLOUR = /\x1b\[[0-9;?]*[ -/]*[@-~]/g;
const MARK = /^##\[(error|warning|notice|group|command|debug)\]/;
const MOST = 20000; // lines; a browser gets slow far above

function line(raw) {
  let text = raw.replace(/\r$/, "").replace(STAMP, "").replace(COLOUR, "");
  if (text.startsWith("##[endgroup]")) return null;
  const row = document.createElement("span");
  if (text.startsWith("[command]")) text = `##${text}`;
  const mark = MARK.exec(text);
  if (mark) { row.className = mark[1]; text = text.slice(mark[0].length); }
  else if (text.startsWith("E   ")) row.className = "error";
  row.textContent = `${text}\n`;
  return row;
}

function add(lines) {
  const stick = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  const part = document.createDocumentFragment();
  for (const raw of lines) { const row = line(raw); if (row) part.append(row); }
  box.append(part);
  while (box.childElementCount > MOST) box.firstElementChild.remove();
  if (stick) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}

// What the page says of the job's state and steps is from when it was loaded. The log may end a moment before the record.
async function settle() {
  for (let tries = 0; tries < 5; tries += 1) {
    const response = await fetch(location.href, { cache: "no-store" });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of ["main h1", "main .stepper"]) {
      const [here, now] = [document.querySelector(part), page.querySelector(part)];
      if (!here.isEqualNode(now)) here.replaceWith(now);
    }
    if (!page.getElementById("log").dataset.source) return;
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
}

async function follow() {
  state.textContent = "The log follows as it is written.";
  const response = await fetch(box.dataset.source);
  if (!response.ok) { state.textContent = (await response.json()).detail; return; }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    if (lines.length) add(lines);
  }
  if (rest) add([rest]);
  state.textContent = "The log is complete.";
  await settle();
}

follow().catch((error) => { state.textContent = `The connection was lost (${error}). Reload to go on.`; });
