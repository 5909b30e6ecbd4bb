// Requests to /api/v1; an error's message is what the server says.
import { role, say } from "./dom.js";

const API = "/api/v1";

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function send(path, options) {
  let answer;
  try {
    answer = await fetch(API + path, { credentials: "same-origin", ...options });
  } catch {
    offline("The server does not answer. Studies go on without it; the page tries again.");
    throw new Refused(0, "the server does not answer");
  }
  offline("");
  if (answer.status === 401) {
    window.location.assign("/login");
    throw new Refused(401, "the server wants its token");
  }
  if (!answer.ok && answer.status !== 304) {
    let detail = `${answer.status} ${answer.statusText}`;
    try { detail = (await answer.json()).detail ?? detail; } catch { /* it was no JSON */ }
    throw new Refused(answer.status, detail);
  }
  return answer;
}

function offline(text) {
  const line = role("offline");
  say(line, text);
  line.hidden = !text;
}

export const at = (name) => `/studies/${encodeURIComponent(name)}`;

export async function get(path) { return (await send(path)).json(); }

/** What is there now, and its tag; null if it is what the tag stands for. */
export async function getNew(path, tag) {
  const answer = await send(path, tag ? { headers: { "If-None-Match": tag } } : {});
  if (answer.status === 304) return null;
  return { content: await answer.json(), tag: answer.headers.get("ETag") ?? "" };
}

export async function post(path, body = undefined) {
  const options = { method: "POST" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  return (await send(path, options)).json();
}

/** Hand a file to the user that a POST gives. */
export async function download(path, name) {
  const blob = await (await send(path, { method: "POST" })).blob();
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/** Call again and again, not while the page is hidden; the function gives the seconds to wait. */
export function repeat(work) {
  let stopped = false;
  let timer = 0;
  let busy = false;
  async function turn() {
    clearTimeout(timer);
    if (stopped || busy) return;
    busy = true;
    let wait = 5;
    try {
      if (!document.hidden) wait = await work();
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
    }
    busy = false;
    if (!stopped) timer = setTimeout(turn, wait * 1000);
  }
  document.addEventListener("visibilitychange", turn);
  turn();
  return { now: turn, stop() { stopped = true; clearTimeout(timer); } };
}
