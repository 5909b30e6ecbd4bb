// The log of a study's runs: JSON lines, written out for a person.
import { at, get } from "./api.js";
import { el, problemBox, put, say } from "./dom.js";
import { short } from "./words.js";

const MOST_LINES = 5000;
const KNOWN = new Set(["time", "level", "study", "trial", "event", "values", "seconds", "attempt",
  "fidelity", "options", "error", "reason", "designs", "budget"]);

export function showLog(tabs, name) {
  const lines = el("ol", { class: "log", "data-role": "log", tabindex: 0, "aria-label": "log" });
  const note = el("p", { class: "note", role: "status" }, "Reading the log…");
  const { box, show } = problemBox();
  put(tabs.panel("log"), note, box, lines);
  let next = null;
  let running = false;
  let timer = 0;
  let reading = false;

  async function read() {
    clearTimeout(timer);
    if (tabs.panel("log").hidden || reading) return;
    reading = true;
    try {
      let part = await get(`${at(name)}/log${next === null ? "" : `?offset=${next}`}`);
      if (next !== null && part.size < next) { next = null; put(lines); part = await get(`${at(name)}/log`); }
      show(null);
      if (!part.kept) say(note, "This study was started from a terminal: its log is there.");
      else say(note, part.offset && next === null ? "The end of the log; older lines are in its file." : "");
      note.hidden = !note.textContent;
      add(part.text);
      next = part.next;
    } catch (error) {
      show(error);
    }
    reading = false;
    if (running && !document.hidden) timer = setTimeout(read, 1500);
  }

  function add(text) {
    const low = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const fresh = text.split("\n").filter((line) => line.trim()).map(written);
    lines.append(...fresh);
    while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
    if (low && fresh.length) lines.scrollTop = lines.scrollHeight;
  }

  tabs.opened("log", read);
  return { alive(now) {
    if (now !== running) { running = now; read(); }
  } };
}

/** A line of the log; what is no JSON is shown as it is. */
function written(line) {
  let entry;
  try { entry = JSON.parse(line); } catch { entry = null; }
  if (!entry || typeof entry !== "object" || typeof entry.event !== "string") {
    const bad = /Error|Traceback/.test(line);
    return el("li", { "data-level": bad ? "error" : "plain" }, el("span", { class: "words" }, line));
  }
  const time = new Date(entry.time);
  return el("li", { "data-level": entry.level },
    el("time", { datetime: entry.time, title: time.toLocaleString() }, time.toLocaleTimeString("en-GB")),
    el("span", { class: "words" }, words(entry)),
    entry.error ? el("pre", {}, entry.error) : null);
}

function words(entry) {
  const parts = [entry.trial === null || entry.event.startsWith("trial ") && /\d/.test(entry.event)
    ? entry.event : entry.event.replace(/^trial/, `trial ${entry.trial}`)];
  if (entry.trial !== null && !parts[0].includes(String(entry.trial))) parts[0] += ` (trial ${entry.trial})`;
  if (entry.values) parts.push(Object.entries(entry.values).map(([key, value]) => `${key} ${short(value)}`).join(", "));
  if (entry.reason) parts.push(entry.reason);
  if (entry.seconds !== undefined) parts.push(`${short(entry.seconds)} s`);
  if (entry.attempt > 1) parts.push(`attempt ${entry.attempt}`);
  if (entry.fidelity && entry.fidelity !== "full") parts.push(entry.fidelity);
  if (entry.options?.length) parts.push(entry.options.join(" "));
  if (entry.designs !== undefined) parts.push(`${entry.designs} of ${entry.budget} designs`);
  for (const [key, value] of Object.entries(entry)) {
    if (!KNOWN.has(key)) parts.push(`${key} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  }
  return parts.join(" · ");
}
