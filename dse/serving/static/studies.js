// The list of studies.
import { at, get, repeat } from "./api.js";
import { el, problemBox, put } from "./dom.js";
import { ALIVE, badge, bar, counts, number } from "./words.js";

export function showStudies(root) {
  document.title = "dse: studies";
  const body = el("tbody", {});
  const table = el("table", { class: "studies", hidden: true },
    el("thead", {}, el("tr", {}, ...["Study", "State", "Progress", "Trials", "Objectives"].map(
      (heading) => el("th", { scope: "col" }, heading)))), body);
  const empty = el("section", { class: "empty", hidden: true },
    el("h2", {}, "No studies yet"),
    el("p", {}, "A study searches designs for a network. Launch one here, or run ",
      el("code", {}, "dse run studies/quickstart.yaml"), " in a terminal: it appears by itself."),
    el("p", {}, el("a", { class: "button main", href: "/new" }, "New study")));
  const waiting = el("p", { class: "note" }, "Reading the database…");
  const { box, show } = problemBox();
  put(root, el("div", { class: "head" }, el("h1", {}, "Studies"),
    el("a", { class: "button main", href: "/new" }, "New study")), box, waiting, empty, table);

  let before = "";
  repeat(async () => {
    let studies;
    try {
      ({ studies } = await get("/studies"));
      show(null);
    } catch (error) {
      if (error.status) show(error);
      throw error;
    } finally {
      waiting.hidden = true;
    }
    const now = JSON.stringify(studies);
    if (now !== before) {
      before = now;
      put(body, ...studies.map(row));
      table.hidden = !studies.length;
      empty.hidden = Boolean(studies.length);
    }
    return studies.some((study) => ALIVE.has(study.state)) ? 2 : 5;
  });
}

function row(study) {
  const name = study.made_by_dse
    ? el("a", { href: at(study.name) }, study.name)
    : el("span", { title: "made by another program" }, study.name);
  const budget = study.budget;
  return el("tr", { "data-study": study.name },
    el("th", { scope: "row" }, name),
    el("td", {}, badge(study.state)),
    el("td", { class: "progress" }, budget ? bar(study.done, budget) : null,
      el("span", { class: "note" }, budget ? `${number(study.done)} of ${number(budget)}` : "")),
    el("td", {}, counts(study.n_trials)),
    el("td", { class: "note" }, study.objectives.join(", ")));
}
