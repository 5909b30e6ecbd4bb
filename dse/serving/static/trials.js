// All trials of a study, a page at a time: the server chooses and sorts.
import { at, get } from "./api.js";
import { el, problemBox, put, say } from "./dom.js";
import { number, short } from "./words.js";

const PAGE = 50;

export function showTrials(tabs, name, open) {
  const state = el("select", { "aria-label": "State" }, ...[["", "all states"], ["complete", "complete"],
    ["fail", "failed"], ["pruned", "pruned"], ["running", "running"], ["waiting", "waiting"]].map(
    ([value, words]) => el("option", { value }, words)));
  const where = el("input", { type: "text", placeholder: "energy_uj<5, regularizer==none",
    "aria-label": "Conditions", size: 34 });
  const told = el("span", { class: "note", role: "status" });
  const { box, show } = problemBox();
  const head = el("tr", {});
  const body = el("tbody", {});
  const table = el("table", { class: "trials" }, el("thead", {}, head), body);
  const back = el("button", { type: "button", onclick: () => turn(-PAGE) }, "Earlier");
  const on = el("button", { type: "button", onclick: () => turn(PAGE) }, "Later");
  const form = el("form", { class: "tools" }, state, where,
    el("button", { class: "main" }, "Show"), el("span", { class: "grow" }), told, back, on);
  put(tabs.panel("trials"), form, box, el("div", { class: "scroll" }, table));

  let offset = 0;
  let sort = "-trial";
  form.addEventListener("submit", (event) => { event.preventDefault(); offset = 0; read(); });
  state.addEventListener("change", () => { offset = 0; read(); });
  tabs.opened("trials", read);

  function turn(by) { offset = Math.max(0, offset + by); read(); }

  async function read() {
    const query = new URLSearchParams({ offset, limit: PAGE, sort });
    if (state.value) query.set("state", state.value);
    for (const condition of where.value.split(",")) {
      if (condition.trim()) query.append("where", condition.trim());
    }
    try {
      draw(await get(`${at(name)}/trials?${query}`));
      show(null);
    } catch (error) {
      show(error);
    }
  }

  function draw(part) {
    const objectives = [...new Set(part.trials.flatMap((trial) => Object.keys(trial.values ?? {})))];
    put(head, heading("trial", "Trial"), el("th", { scope: "col" }, "State"),
      ...objectives.map((key) => heading(key, key)),
      ...["Seconds", "Design"].map((words) => el("th", { scope: "col" }, words)));
    put(body, ...part.trials.map((trial) => row(trial, objectives)));
    if (!part.trials.length) {
      put(body, el("tr", {}, el("td", { colspan: 9, class: "note" }, "No trial is like that.")));
    }
    say(told, part.matching ? `${number(part.offset + 1)}–${number(part.offset + part.trials.length)} of ${number(part.matching)}` : "");
    back.disabled = part.offset === 0;
    on.disabled = part.offset + PAGE >= part.matching;
  }

  function heading(key, words) {
    const now = sort === key ? "ascending" : sort === `-${key}` ? "descending" : null;
    return el("th", { scope: "col", "aria-sort": now }, el("button", { type: "button", class: "quiet",
      onclick: () => { sort = sort === key ? `-${key}` : key; offset = 0; read(); } },
    words + ({ ascending: " ↑", descending: " ↓" }[now] ?? "")));
  }

  function row(trial, objectives) {
    const has = trial.values !== null && trial.duplicate_of === null;
    const number = has
      ? el("button", { type: "button", class: "link", onclick: () => open(trial.trial) }, trial.trial)
      : trial.trial;
    const params = Object.entries(trial.params).map(([key, value]) => `${key} ${short(value)}`).join(", ");
    let words = params;
    if (trial.duplicate_of !== null) words = `as trial ${trial.duplicate_of}`;
    else if (trial.error) words = `${trial.error} (${params})`;
    return el("tr", { "data-trial": trial.trial },
      el("th", { scope: "row" }, number),
      el("td", {}, trial.state + (trial.feasible === false ? ", infeasible" : "")),
      ...objectives.map((key) => el("td", { class: "value" }, short(trial.values?.[key]))),
      el("td", { class: "value" }, short(trial.seconds)),
      el("td", { class: "note" }, words));
  }
}
