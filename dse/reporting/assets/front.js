/* The front: designs over two or three columns, by plotly; a selection here filters all views. */
"use strict";

(() => {
  const dse = window.dseViews;
  const KNOBS_IN_HOVER = 14;
  const FAR = 6; // times the range of the front: a given design does not stretch an axis further

  /* What is drawn, the last on top: kind of trace, name, and its mark. */
  const KINDS = [
    ["infeasible", "breaks a constraint", { symbol: "x-thin-open" }, "cross"],
    ["other", "feasible, off the front", { symbol: "circle" }, "circle"],
    ["front", "front", { symbol: "circle", size: 9 }, "circle"],
    ["given", "given in the study file", { symbol: "diamond", size: 12 }, "diamond"],
  ];

  let group = 0; // of the two buttons that exclude each other, where there are several views

  dse.frontView = (model, root, open) => {
    const plot = dse.element("div.plot", { "data-role": "front" });
    const note = dse.element("p.note", { "data-role": "front-note" });
    const tools = dse.element("div.tools");
    const [first, second, third] = axesAtFirst(model);
    const state = { three: false, all: false, x: second, y: first, z: third, log: {} };
    const section = dse.section("front", "Pareto front", tools, plot, note);
    let groups = [];
    let listening = false;
    group += 1;
    const mine = `dse-dimensions-${group}`;

    const columnOf = (id) => model.column.get(id) || model.columns[0];
    const isLog = (column) =>
      column.words === null && (state.log[column.id] ?? column.log) && positive(column);

    const chosen = () => {
      for (const [axis, at] of [["x", 1], ["y", 0], ["z", 2]]) {
        if (!model.column.has(state[axis])) state[axis] = axesAtFirst(model)[at];
      }
      const axes = state.three ? ["x", "y", "z"] : ["x", "y"];
      return axes.map((axis) => columnOf(state[axis]));
    };

    const buildTools = () => {
      const columns = model.columns.map((c) => [c.id, c.kind === "knob" ? `knob ${c.id}` : c.axis]);
      const mode = (three, text) => dse.element("label", {},
        dse.element("input", { type: "radio", name: mine, checked: state.three === three,
          onchange: () => { state.three = three; buildTools(); draw(); } }), text);
      const axis = (name) => {
        const column = columnOf(state[name]);
        const log = dse.element("label.log", { hidden: !positive(column) },
          dse.element("input", { type: "checkbox", checked: isLog(column), onchange: (event) => {
            state.log[column.id] = event.target.checked;
            draw();
          } }), "log");
        return dse.element("span.axis", {}, dse.select(name, columns, state[name], (id) => {
          state[name] = id;
          buildTools();
          draw();
        }), log);
      };
      tools.replaceChildren(
        dse.element("span.modes", { role: "group", "aria-label": "dimensions" },
          mode(false, "2-D"), mode(true, "3-D")),
        ...(state.three ? ["x", "y", "z"] : ["x", "y"]).map(axis),
        dse.element("label", {}, dse.element("input", { type: "checkbox", checked: state.all,
          onchange: (event) => { state.all = event.target.checked; draw(); } }), "outliers too"));
    };

    const draw = () => {
      plot.hidden = model.size === 0;
      if (!model.size) {
        note.textContent = "No design of this study has been evaluated to its end yet.";
        return Promise.resolve();
      }
      const columns = chosen();
      const colours = dse.colours(root);
      groups = grouped(model);
      const layout = state.three ? layout3(columns, colours) : layout2(columns, colours);
      const traces = groups.map((group) => trace(group, columns, colours, layout));
      const { front_total: total } = model.view.drawn;
      if (!state.three && steps(columns)) traces.unshift(staircase(columns, colours));
      if (total) traces.push(...standing(columns, colours));
      note.textContent = notes(columns, layout);
      return dse.draw(plot, traces, layout).then(() => {
        if (!listening) listen();
        if (!state.three && model.filtered) dim();
      });
    };

    const rangeOf = (column) => {
      const { range, ...rest } = axisRange(model, column, isLog(column));
      return state.all || !range ? rest : { ...rest, range };
    };

    const layout2 = (columns, colours) => {
      const [x, y] = columns;
      const axis = (column) => dse.axis(colours, titled(column), {
        ...rangeOf(column), automargin: column.words !== null });
      return dse.layout(colours, {
        margin: { l: 72, r: 24, t: 44, b: 60 }, // room for all, or plotly draws everything twice
        xaxis: axis(x), yaxis: axis(y), dragmode: "select", hovermode: "closest",
        legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemsizing: "constant" },
        newselection: { line: { color: colours.ink, width: 1, dash: "dot" } },
        uirevision: `${x.id} ${y.id} ${isLog(x)} ${isLog(y)} ${state.all}`,
      });
    };

    const layout3 = (columns, colours) => {
      const axis = (column) => ({
        title: { text: dse.plain(titled(column)), font: { size: 12 } }, color: colours.ink,
        gridcolor: colours.line, zerolinecolor: colours.line, showbackground: false,
        type: column.words ? "category" : "linear", nticks: 6, exponentformat: "power",
        showspikes: false, ...rangeOf(column),
      });
      const [x, y, z] = columns;
      const far = root.clientWidth < 600 ? 1.35 : 1;
      return dse.layout(colours, {
        margin: { l: 0, r: 0, t: 8, b: 0 },
        scene: { xaxis: axis(x), yaxis: axis(y), zaxis: axis(z), dragmode: "turntable",
          aspectmode: "cube", camera: { eye: { x: 1.45 * far, y: -1.5 * far, z: 0.65 * far },
            center: { x: 0, y: 0, z: -0.12 } }, uirevision: "kept" },
        legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemsizing: "constant" },
        uirevision: columns.map((c) => c.id).join(" "),
      });
    };

    const trace = (all, columns, colours, layout) => {
      const group = state.three && model.filtered ? onlyOf(all, new Set(model.selected())) : all;
      const coordinates = Object.fromEntries(columns.map((column, at) =>
        ["xyz"[at], group.places.map((place) => model.value(column, place))]));
      const colour = colours[group.kind];
      const mark = { size: model.size > 2000 ? 5.5 : model.size > 400 ? 6.5 : 8, ...group.mark };
      const shared = {
        ...coordinates, mode: "markers", name: `${group.name} (${dse.number(group.total)})`,
        customdata: group.places, hovertext: group.places.map(hovers(columns)),
        hoverinfo: "text",
      };
      if (state.three) {
        return { ...shared, type: "scatter3d", marker: { symbol: group.symbol3,
          size: mark.size / 2 + 1, color: colour, opacity: 1, line: { width: 0 } } };
      }
      const named = group.kind !== "given" ? {} : {
        mode: "markers+text", text: group.places.map((at) => dse.plain(model.view.designs.given[at])),
        textfont: { color: colours.given, size: 12 }, cliponaxis: false,
        textposition: sides(group.places, columns, layout),
      };
      const opacity = { infeasible: 0.6, other: 0.55 }[group.kind] || 1;
      return { ...shared, ...named, type: "scatter", marker: { ...mark, color: colour, opacity,
        line: { width: group.kind === "infeasible" ? 1.2 : group.kind === "other" ? 0 : 1,
          color: group.kind === "infeasible" ? colour : colours.paper } },
      selected: { marker: { opacity: Math.max(opacity, 0.8) } },
      unselected: { marker: { opacity: model.size > 400 ? 0.07 : 0.18 }, textfont: { color: "rgba(0,0,0,0)" } } };
    };

    const onlyOf = (group, kept) =>
      ({ ...group, places: group.places.filter((place) => kept.has(place)) });

    /* On which side of its mark a name stands, so that it is on no other and within the plot. */
    const sides = (places, columns, layout) => {
      const placed = [];
      const share = (column, axis, at) => {
        const value = model.value(column, at);
        if (!axis.range || typeof value !== "number") return 0.5;
        const scaled = axis.type === "log" ? Math.log10(value) : value;
        return (scaled - axis.range[0]) / (axis.range[1] - axis.range[0]);
      };
      return places.map((at) => {
        const x = share(columns[0], layout.xaxis, at);
        const y = share(columns[1], layout.yaxis, at);
        const near = placed.filter((other) => Math.abs(other.x - x) < 0.14
          && Math.abs(other.y - y) < 0.05).length;
        placed.push({ x, y });
        const side = x > 0.85 ? "left" : x < 0.15 ? "right" : "center";
        return `${["top", "bottom", "middle"][near % 3]} ${near % 3 === 2 && side === "center"
          ? "right" : side}`;
      });
    };

    /* Knee, extremes and given designs, with their names beside them. */
    const standing = (columns, colours) => {
      const { designs } = model.view;
      const drawn = [
        ["knee", "knee", (at) => designs.marks[at].split(", ").includes("knee"), "star-open"],
        ["extreme", "best of an objective", (at) => /best /.test(designs.marks[at]), "square-open"],
      ];
      return drawn.flatMap(([kind, name, test, symbol]) => {
        const places = model.trials.map((_, at) => at).filter(test);
        if (!places.length) return [];
        const shared = {
          name, x: places.map((at) => model.value(columns[0], at)),
          y: places.map((at) => model.value(columns[1], at)),
          customdata: places, hovertext: places.map(hovers(columns)), hoverinfo: "text",
          mode: "markers",
        };
        const mark = { color: colours[kind], size: kind === "knee" ? 19 : 15, line: { width: 2 } };
        return state.three
          ? [{ ...shared, type: "scatter3d", z: places.map((at) => model.value(columns[2], at)),
            marker: { color: colours[kind], size: 9, symbol: kind === "knee" ? "diamond-open"
              : "square-open", line: { width: 2 } } }]
          : [{ ...shared, type: "scatter", marker: { ...mark, symbol } }];
      });
    };

    /* Whether the front is a staircase in this plane: that of the study's two objectives. */
    const steps = (columns) => {
      const goals = model.view.objectives;
      return goals.length === 2 && columns.every((c) => goals.some((goal) => goal.name === c.id))
        && columns[0] !== columns[1];
    };

    const staircase = (columns, colours) => {
      const [x, y] = columns;
      const front = model.trials.map((_, at) => at).filter((at) => model.view.designs.front[at])
        .sort((a, b) => model.value(x, a) - model.value(x, b));
      return { type: "scatter", mode: "lines", x: front.map((at) => model.value(x, at)),
        y: front.map((at) => model.value(y, at)), hoverinfo: "skip", showlegend: false,
        line: { shape: x.better === "min" ? "hv" : "vh", color: colours.front, width: 1.3 },
        opacity: 0.6 };
    };

    /* What a design says when it is pointed at. */
    const hovers = (columns) => {
      const shown = model.columns.filter((c) => c.kind === "objective" || columns.includes(c));
      const knobs = model.columns.filter((c) => c.kind === "knob" && !shown.includes(c));
      return (at) => {
        const lines = [`<b>${dse.plain(model.title(at))}</b>`];
        for (const c of shown) lines.push(dse.plain(`${c.axis}: ${model.text(c, at)}`));
        const own = knobs.filter((c) => c.values[at] !== null);
        for (const c of own.slice(0, KNOBS_IN_HOVER)) {
          lines.push(dse.plain(`${c.id} ${model.text(c, at)}`));
        }
        if (own.length > KNOBS_IN_HOVER) lines.push(`and ${own.length - KNOBS_IN_HOVER} knobs`);
        return [...lines, "<i>click for all of it</i>"].join("<br>");
      };
    };

    const notes = (columns, layout) => {
      const { designs, drawn, objectives, published } = model.view;
      const words = [];
      if (drawn.front < drawn.front_total) {
        words.push(`Drawn are ${dse.number(drawn.front)} of the ${dse.number(drawn.front_total)} `
          + "designs on the front, evenly chosen along it.");
      }
      if (drawn.others < drawn.others_total) {
        words.push(`Of the ${dse.number(drawn.others_total)} other designs `
          + `${dse.number(drawn.others)}, chosen at random, are drawn.`);
      }
      if (!drawn.front_total) {
        words.push("No design meets every constraint; the crosses show how far they are.");
      } else if (objectives.length > 2 && !state.three) {
        words.push(`The front is that of all ${objectives.length} objectives; a design on it may `
          + "look beaten in this plane.");
      }
      if (!published.given) words.push("The study file gives no designs to compare with.");
      if (!state.three) {
        const out = model.trials.map((_, at) => at).filter((at) =>
          !inside(columns[0], layout.xaxis, at) || !inside(columns[1], layout.yaxis, at));
        const outside = out.length;
        if (outside) {
          const named = out.map((at) => designs.given[at]).filter(Boolean);
          words.push(`${dse.count(outside, "drawn design")} ${outside === 1 ? "lies" : "lie"} `
            + `outside the axes${named.length ? ` (${named.join(", ")} among them)` : ""}.`);
        }
        words.push("Drag to select designs; the other views follow.");
      } else {
        words.push("Drag to turn it; of a selection only the selected designs are drawn.");
      }
      return words.join(" ");
    };

    const inside = (column, axis, at) => {
      const value = model.value(column, at);
      if (!axis.range || value === null) return true;
      const placed = axis.type === "log" ? Math.log10(value) : value;
      return placed >= axis.range[0] && placed <= axis.range[1];
    };

    /* Show which designs are selected, whoever selected them. */
    const dim = () => {
      if (!groups.length || plot.hidden || !plot.data) return;
      if (state.three) {
        draw();
        return;
      }
      // A box that selects no more goes first: plotly takes the selected points away with it.
      const stale = model.picked === null && (plot.layout.selections || []).length;
      const tidied = stale ? window.Plotly.relayout(plot, { selections: [] }) : Promise.resolve();
      tidied.then(() => {
        const places = model.filtered ? new Set(model.selected()) : null;
        const at = plot.data.flatMap((each, index) => (each.selected ? [index] : []));
        const within = at.map((index) => (places === null ? null
          : plot.data[index].customdata.flatMap((place, i) => (places.has(place) ? [i] : []))));
        return window.Plotly.restyle(plot, { selectedpoints: within }, at);
      });
    };

    const listen = () => {
      listening = true;
      plot.on("plotly_click", (event) => {
        const point = event.points.find((each) => each.customdata !== undefined);
        if (point) open(model.trials[point.customdata]);
      });
      plot.on("plotly_selected", (event) => {
        if (!event || !(plot.layout.selections || []).length) {
          if (model.picked !== null) model.pick(null); // the box was taken away
          return;
        }
        const places = event.points.map((each) => each.customdata).filter((p) => p !== undefined);
        model.pick(new Set(places.map((place) => model.trials[place])));
      });
      plot.on("plotly_deselect", () => model.pick(null));
    };

    buildTools();
    return { section, draw, dim, refresh: () => { buildTools(); return draw(); }, plot };
  };

  const positive = (column) => column.words === null
    && column.values.every((value) => value === null || value > 0);

  /* The second objective across, the first one up; columns that vary where objectives run out. */
  const axesAtFirst = (model) => {
    const goals = model.columns.filter((c) => c.kind === "objective").map((c) => c.id);
    const rest = model.columns.filter((c) => c.kind === "metric" && c.id !== "seconds")
      .map((c) => c.id);
    const knobs = model.columns.filter((c) => c.kind !== "objective").map((c) => c.id);
    return [...goals, ...rest, ...knobs].slice(0, 3);
  };

  const titled = (column) => {
    if (column.better === "min") return `← better    ${column.axis}`;
    return column.better === "max" ? `${column.axis}    better →` : column.axis;
  };

  const grouped = (model) => {
    const { designs, drawn, published } = model.view;
    const totals = { front: drawn.front_total, given: published.designs.length,
      infeasible: drawn.infeasible,
      other: drawn.results - drawn.infeasible - drawn.front_total };
    return KINDS.map(([kind, name, mark, symbol3]) => ({
      kind, name, mark, symbol3, total: totals[kind],
      places: model.trials.map((_, at) => at).filter((at) => {
      const given = designs.given[at] !== "";
      if (kind === "given") return given;
      return model.kind(at) === kind && (!given || kind === "front");
    }),
  })).filter((group) => group.places.length);
  };

  /* The range of an axis: front and the bulk of the feasible designs in full, given designs if they
   * are not far from these, and of the rest what is near. */
  const axisRange = (model, column, log) => {
    if (column.words) return { type: "category" };
    const { designs } = model.view;
    const scale = (value) => (log ? Math.log10(value) : value);
    const all = model.trials.map((_, at) => at).filter((at) => column.values[at] !== null);
    const values = (places) => places.map((at) => scale(column.values[at])).sort((a, b) => a - b);
    const feasible = values(all.filter((at) => designs.feasible[at]));
    const bulk = feasible.length ? feasible : values(all);
    if (!bulk.length) return {};
    const core = values(all.filter((at) => designs.front[at]));
    const inner = [...core, bulk[Math.floor(0.1 * (bulk.length - 1))],
      bulk[Math.ceil(0.9 * (bulk.length - 1))]];
    let [low, high] = [Math.min(...inner), Math.max(...inner)];
    if (low === high) [low, high] = [bulk[0], bulk[bulk.length - 1]];
    const given = values(all.filter((at) => designs.given[at]));
    const wide = [Math.min(low, ...given), Math.max(high, ...given)];
    if (wide[1] - wide[0] <= FAR * (high - low)) [low, high] = wide;
    const room = 0.5 * (high - low) || Math.abs(low) * 0.1 || 1;
    const near = values(all).filter((v) => v >= low - room && v <= high + room);
    const pad = 0.05 * (near[near.length - 1] - near[0]) || room;
    const range = [near[0] - pad, near[near.length - 1] + pad];
    return log ? { type: "log", range, dtick: range[1] - range[0] > 1.2 ? undefined : "D2" }
      : { range };
  };
})();
