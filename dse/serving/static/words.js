// Words and marks for states, counts and times.
import { el, put, say } from "./dom.js";

export const STATES = {
  starting: "starting", running: "running", stopping: "stopping", paused: "paused",
  cancelled: "cancelled", driver_lost: "driver lost", failed: "failed", finished: "finished",
  interrupted: "not running",
};

export const ALIVE = new Set(["starting", "running", "stopping"]);

export function badge(state) {
  return el("span", { class: "badge", "data-state": state ?? "foreign" }, STATES[state] ?? "not dse's");
}

export function setBadge(element, state) {
  element.dataset.state = state ?? "foreign";
  say(element, STATES[state] ?? "not dse's");
}

export function bar(done, budget) {
  const share = budget ? Math.min(1, done / budget) : 0;
  const fill = el("span", {});
  fill.style.width = `${100 * share}%`;
  return el("span", { class: "bar", role: "progressbar", "aria-valuemin": 0,
    "aria-valuemax": budget ?? 0, "aria-valuenow": done }, fill);
}

export function setBar(element, done, budget) {
  put(element, ...bar(done, budget).childNodes);
  element.setAttribute("aria-valuenow", done);
  element.setAttribute("aria-valuemax", budget ?? 0);
}

export const number = (value) => (value ?? 0).toLocaleString("en");

/** `6 complete, 1 failed`: what there is any of. */
export function counts(trials) {
  const words = Object.entries(trials).filter(([, n]) => n).map(([name, n]) => `${number(n)} ${name}`);
  return words.join(", ") || "no trials yet";
}

export function short(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  return Number(value.toPrecision(4)).toString();
}
