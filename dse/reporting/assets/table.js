/* The table of the selected designs: sorted by a click on a heading, filtered by words. */
"use strict";

(() => {
  const dse = window.dseViews;
  const AT_ONCE = 30;
  const MORE = 500;
  const KNOBS = 12;

  dse.tableView = (model, root, open) => {
    const state = { sort: null, up: true, shown: AT_ONCE, front: false, columns: null };
    const body = dse.element("tbody");
    const head = dse.element("thead");
    const count = dse.element("p.note", { "data-role": "selected", "aria-live": "polite" });
    const command = dse.element("code", { "data-role": "command" });
    const rest = dse.element("p.note", {}, "All designs of the study in these ranges: ", command);
    const more = dse.element("button", { type: "button", onclick: () => {
      state.shown += MORE;
      draw();
    } });
    const filter = dse.element("input", { type: "search", size: 42, "aria-label": "filter",
      placeholder: "filter: knee regularizer=l1 energy_uj<5",
      oninput: () => { state.shown = AT_ONCE; model.search(filter.value); } });
    const onlyFront = dse.element("input", { type: "checkbox",
      onchange: () => { state.front = onlyFront.checked; state.shown = AT_ONCE; draw(); } });
    const clear = dse.element("button", { type: "button", text: "show all designs again",
      onclick: () => { filter.value = ""; model.clear(); } });
    const chooser = dse.element("details.chooser");
    const table = dse.element("table", {}, head, body);
    const section = dse.section("table", "Designs",
      dse.element("div.tools", {}, filter, dse.element("label", {}, onlyFront, "only the front"),
        chooser, clear),
      count,
      dse.element("div.scroll", { tabindex: 0, role: "region", "aria-label": "designs" }, table),
      dse.element("div.tools", {}, more), rest);

    const columns = () => model.columns.filter((c) => chosen().has(c.id));
    const chosen = () => {
      if (!state.columns) {
        const knobs = model.columns.filter((c) => c.kind === "knob").slice(0, KNOBS);
        state.columns = new Set(model.columns.filter((c) => c.main
          && (c.kind !== "knob" || knobs.includes(c))).map((c) => c.id));
      }
      return state.columns;
    };

    const buildChooser = () => {
      chooser.replaceChildren(
        dse.element("summary", { text: `columns (${columns().length} of ${model.columns.length})` }),
        dse.element("div.checks", {}, ...model.columns.map((column) => dse.element("label", {},
          dse.element("input", { type: "checkbox", checked: chosen().has(column.id),
            onchange: (event) => {
              if (event.target.checked) chosen().add(column.id);
              else chosen().delete(column.id);
              buildChooser();
              chooser.open = true;
              draw();
            } }), column.label))));
    };

    /* Places in the order of the table; at first the front, the best in the first objective. */
    const sorted = () => {
      const { designs } = model.view;
      const places = model.selected().filter((at) => !state.front || designs.front[at]);
      if (state.sort === null) {
        return places.sort((a, b) => designs.front[b] - designs.front[a] || a - b);
      }
      const column = model.column.get(state.sort);
      const key = state.sort === "trial" || !column ? (at) => model.trials[at]
        : (at) => model.value(column, at);
      return places.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        const order = typeof x === "string" ? x.localeCompare(y) : x - y;
        return (state.up ? order : -order) || a - b;
      });
    };

    const heading = (id, text, numeric) => {
      const mine = state.sort === id;
      const sort = mine ? (state.up ? "ascending" : "descending") : null;
      return dse.element(numeric ? "th.n" : "th", { scope: "col", "aria-sort": sort, "data-column": id },
        dse.element("button", { type: "button", onclick: () => {
          state.up = mine ? !state.up : true;
          state.sort = id;
          draw();
          head.querySelector(`[data-column="${CSS.escape(id)}"] button`).focus();
        } }, ...dse.breakable(text)));
    };

    const row = (at, shown) => {
      const { designs } = model.view;
      const trial = model.trials[at];
      const notes = [designs.front[at] ? "front" : "", designs.feasible[at] ? "" : "infeasible",
        designs.given[at], designs.marks[at]].filter(Boolean).join(", ");
      return dse.element(`tr.${model.kind(at)}`, { "data-trial": trial },
        dse.element("td.n", {}, dse.element("button.link", { type: "button", text: String(trial),
          title: "all of this design", onclick: () => open(trial) })),
        dse.element("td", { text: notes }),
        ...shown.map((c) => dse.element(c.words ? "td" : "td.n", { text: model.text(c, at) })));
    };

    const draw = () => {
      section.hidden = model.size === 0;
      const shown = columns();
      const places = sorted();
      head.replaceChildren(dse.element("tr", {}, heading("trial", "trial", true),
        dse.element("th", { scope: "col", text: "which" }),
        ...shown.map((c) => heading(c.id, c.label, !c.words))));
      body.replaceChildren(...places.slice(0, state.shown).map((at) => row(at, shown)));
      const left = places.length - state.shown;
      more.hidden = left <= 0;
      more.textContent = `show ${Math.min(left, MORE)} more`;
      clear.hidden = !model.filtered;
      const { drawn } = model.view;
      const total = drawn.results > model.size
        ? ` that are in this page, of ${dse.number(drawn.results)} in the study` : "";
      count.textContent = `${dse.number(places.length)} of ${dse.count(model.size, "design")}${total}`
        + `${model.filtered ? " are selected" : ""}${left > 0 ? `; ${state.shown} are listed` : ""}.`;
      rest.hidden = drawn.results <= model.size || model.ranges.size === 0;
      command.textContent = model.command();
    };

    buildChooser();
    return { section, draw, refresh: () => { buildChooser(); draw(); },
      dim: () => { if (filter.value !== model.query) filter.value = model.query; draw(); } };
  };
})();
