/* Parallel coordinates: a line for every design; a range of any axis filters all views. */
"use strict";

(() => {
  const dse = window.dseViews;
  const HEIGHT = 300;
  const TOP = 10;
  const BOTTOM = 26; // below the axis: where lines go that have no such value
  const NARROWEST = 104;
  const AT_FIRST = 10;
  const REACH = 16;
  const TICKS = 5;

  dse.parallelView = (model, root) => {
    const canvas = dse.element("canvas", { "aria-hidden": "true" });
    const overlay = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const heads = dse.element("div.heads");
    const stage = dse.element("div.stage", {}, heads, dse.element("div.lines", {}, canvas, overlay));
    const note = dse.element("p.note");
    const chooser = dse.element("details.chooser");
    let ids = axesAtFirst(model);
    const section = dse.section("parallel", "Parallel coordinates",
      dse.element("div.tools", {}, chooser), dse.element("div.scroll", {}, stage), note);
    let axes = [];
    let open = null; // the axis whose range is edited

    const buildChooser = () => {
      chooser.replaceChildren(
        dse.element("summary", { text: `axes (${ids.length} of ${model.columns.length})` }),
        dse.element("div.checks", {}, ...model.columns.map((column) => dse.element("label", {},
          dse.element("input", { type: "checkbox", checked: ids.includes(column.id),
            onchange: (event) => {
              if (event.target.checked) ids.push(column.id);
              else {
                ids = ids.filter((id) => id !== column.id);
                model.restrict(column.id, null);
              }
              buildChooser();
              chooser.open = true;
              draw();
            } }), column.label))));
    };

    const layOut = () => {
      ids = ids.filter((id) => model.column.has(id));
      const width = Math.max(section.clientWidth, ids.length * NARROWEST);
      const step = width / Math.max(1, ids.length);
      axes = ids.map((id, at) => makeAxis(model, model.column.get(id), step * (at + 0.5)));
      stage.style.width = `${width}px`;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round((TOP + HEIGHT + BOTTOM) * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${TOP + HEIGHT + BOTTOM}px`;
      overlay.setAttribute("width", width);
      overlay.setAttribute("height", TOP + HEIGHT + BOTTOM);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    };

    const drawLines = () => {
      const context = canvas.getContext("2d");
      const colours = dse.colours(root);
      context.clearRect(0, 0, canvas.width, canvas.height);
      const selected = model.selected();
      const chosen = new Set(selected);
      const line = (at) => {
        context.beginPath();
        axes.forEach((axis, index) => {
          const y = axis.y(model.value(axis.column, at));
          if (index) context.lineTo(axis.x, y);
          else context.moveTo(axis.x, y);
        });
        context.stroke();
      };
      const many = Math.max(0.06, Math.min(0.5, 60 / model.size));
      context.lineWidth = 1;
      context.strokeStyle = dse.faint(colours.soft, model.filtered ? many / 2 : many);
      for (let at = 0; at < model.size; at += 1) if (!chosen.has(at)) line(at);
      const shade = (at) => (model.kind(at) === "infeasible" ? "infeasible" : model.kind(at));
      for (const kind of ["infeasible", "other", "front"]) {
        const places = selected.filter((at) => shade(at) === kind);
        const opacity = Math.max(kind === "front" ? 0.25 : 0.08, Math.min(0.85, 80 / places.length));
        context.strokeStyle = dse.faint(colours[kind], opacity);
        context.lineWidth = kind === "front" ? 1.4 : 1;
        places.forEach(line);
      }
      context.lineWidth = 2;
      context.strokeStyle = dse.faint(colours.given, 0.9);
      selected.filter((at) => model.view.designs.given[at]).forEach(line);
    };

    const drawOverlay = () => {
      const colours = dse.colours(root);
      const parts = axes.flatMap((axis) => {
        const range = model.ranges.get(axis.column.id);
        const box = range && axis.box(range);
        return [
          svg("line", { x1: axis.x, x2: axis.x, y1: TOP, y2: TOP + HEIGHT, stroke: colours.soft,
            "stroke-width": 1.5 }),
          ...axis.ticks.flatMap(([y, text]) => [
            svg("line", { x1: axis.x - 4, x2: axis.x, y1: y, y2: y, stroke: colours.soft }),
            svg("text", { x: axis.x + 5, y: y + 4, fill: colours.ink, stroke: colours.ground }, text),
          ]),
          box ? svg("rect", { x: axis.x - 7, width: 14, y: box[0], height: Math.max(3, box[1] - box[0]),
            fill: dse.faint(colours.given, 0.35), stroke: colours.given, "data-brush": axis.column.id })
            : null,
          svg("rect", { x: axis.x - REACH, width: 2 * REACH, y: 0, height: TOP + HEIGHT + BOTTOM,
            fill: "transparent", "data-axis": axis.column.id, style: "cursor:ns-resize" }),
        ];
      });
      overlay.replaceChildren(...parts.filter(Boolean));
    };

    const drawHeads = () => {
      heads.style.gridTemplateColumns = `repeat(${axes.length || 1}, 1fr)`;
      heads.replaceChildren(...axes.map((axis) => {
        const { column } = axis;
        const range = model.ranges.get(column.id);
        const arrow = { max: " ↑", min: " ↓" }[column.better] || "";
        return dse.element("div.head", {},
          dse.element(range ? "button.restricted" : "button", {
            type: "button", "aria-expanded": String(open === column.id),
            title: `choose a range of ${column.axis}`,
            onclick: () => { open = open === column.id ? null : column.id; drawHeads(); },
          }, ...dse.breakable(`${column.label}${arrow}`)),
          open === column.id ? editor(model, axis, () => { open = null; drawHeads(); }) : null);
      }));
    };

    const brush = (event) => {
      const id = event.target.getAttribute && event.target.getAttribute("data-axis");
      const axis = axes.find((each) => each.column.id === id);
      if (!axis || event.button) return;
      event.preventDefault();
      const place = (moved) => moved.clientY - overlay.getBoundingClientRect().top;
      const from = place(event);
      let to = from;
      overlay.setPointerCapture(event.pointerId);
      const shade = svg("rect", { x: axis.x - 7, width: 14, y: from, height: 0,
        fill: dse.faint(dse.colours(root).given, 0.35) });
      overlay.append(shade);
      const move = (moved) => {
        to = place(moved);
        shade.setAttribute("y", Math.min(from, to));
        shade.setAttribute("height", Math.abs(to - from));
      };
      const stop = () => {
        overlay.removeEventListener("pointermove", move);
        shade.remove();
        if (Math.abs(to - from) < 4) model.restrict(id, null); // a click clears
        else model.restrict(id, axis.range(Math.min(from, to), Math.max(from, to)));
      };
      overlay.addEventListener("pointermove", move);
      overlay.addEventListener("pointerup", stop, { once: true });
      overlay.addEventListener("pointercancel", stop, { once: true });
    };
    overlay.addEventListener("pointerdown", brush);

    const dim = () => {
      drawLines();
      drawOverlay();
      drawHeads();
    };
    const draw = () => {
      section.hidden = model.size === 0;
      if (section.hidden) return;
      layOut();
      note.textContent = "Drag along an axis to select a range, click on it to clear; or open an "
        + "axis by its name. Lines below an axis have no such value. "
        + `Shown are the ${dse.count(model.size, "design")} that are drawn.`;
      dim();
    };
    buildChooser();
    return { section, draw, dim, refresh: () => { buildChooser(); draw(); } };
  };

  /* Objectives, then the knobs that matter most. */
  const axesAtFirst = (model) => {
    const shares = new Map();
    for (const { knobs } of model.view.importance) {
      for (const { path, share } of knobs) shares.set(path, (shares.get(path) || 0) + share);
    }
    const goals = model.columns.filter((c) => c.kind === "objective");
    const knobs = model.columns.filter((c) => c.kind === "knob");
    const room = Math.max(3, AT_FIRST - goals.length);
    const ranked = [...knobs].sort((a, b) => (shares.get(b.id) || 0) - (shares.get(a.id) || 0));
    const kept = new Set(ranked.slice(0, room));
    return [...goals, ...knobs.filter((c) => kept.has(c))].map((c) => c.id);
  };

  const svg = (tag, attributes, text = null) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    return made;
  };

  /* Where values lie on an axis, and which values lie in a part of it. */
  const makeAxis = (model, column, x) => {
    if (column.words) {
      const n = column.words.length;
      const y = (word) => TOP + HEIGHT - (HEIGHT * (column.words.indexOf(word) + 0.5)) / n;
      return { column, x, ticks: column.words.map((word) => [y(word), word]),
        y: (word) => (word === null ? TOP + HEIGHT + BOTTOM - 6 : y(word)),
        box: (range) => {
          const places = [...range.words].map(y);
          return places.length
            ? [Math.min(...places) - HEIGHT / n / 3, Math.max(...places) + HEIGHT / n / 3] : null;
        },
        range: (top, bottom) => ({
          words: new Set(column.words.filter((word) => y(word) >= top && y(word) <= bottom)) }),
      };
    }
    const told = column.values.filter((value) => value !== null);
    let [low, high] = told.length ? [Math.min(...told), Math.max(...told)] : [0, 1];
    const log = column.log && low > 0;
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 1, high + 1];
    const [down, up] = log ? [Math.log(low), Math.log(high)] : [low, high];
    const y = (value) => TOP + HEIGHT * (1 - ((log ? Math.log(value) : value) - down) / (up - down));
    const value = (at) => {
      const placed = down + (up - down) * (1 - (at - TOP) / HEIGHT);
      return log ? Math.exp(placed) : placed;
    };
    return { column, x, low, high,
      ticks: ticks(told, low, high, log).map((each) => [y(each), dse.number(each)]),
      y: (each) => (each === null ? TOP + HEIGHT + BOTTOM - 6 : y(each)),
      box: (range) => [Math.max(TOP, y(Math.min(range.high, high))),
        Math.min(TOP + HEIGHT, y(Math.max(range.low, low)))],
      range: (top, bottom) => ({ low: value(bottom), high: value(top) }),
    };
  };

  /* Where an axis of numbers says its value: each of a few whole ones, else round ones. */
  const ticks = (told, low, high, log) => {
    const own = [...new Set(told)];
    if (own.length <= 9 && own.every(Number.isInteger) && !log) return own;
    if (!log || high / low < 8) return dse.roundSteps(low, high, TICKS);
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      const steps = high / low < 1000 ? [1, 2, 5] : [1];
      found.push(...steps.map((each) => Number((each * 10 ** power).toPrecision(3))));
    }
    return found.filter((each) => each >= low && each <= high);
  };

  /* A range by keyboard: two numbers, or words to tick. */
  const editor = (model, axis, close) => {
    const { column } = axis;
    const range = model.ranges.get(column.id);
    const end = (form) => {
      const data = new FormData(form);
      if (column.words) {
        const words = new Set(data.getAll("word"));
        model.restrict(column.id, words.size === column.words.length ? null : { words });
        return;
      }
      const bound = (name, other) => (data.get(name) === "" ? other : Number(data.get(name)));
      model.restrict(column.id, { low: bound("low", axis.low), high: bound("high", axis.high) });
    };
    const field = (name, value) => dse.element("label", {}, name === "low" ? "from" : "to",
      dse.element("input", { type: "number", step: "any", name, value }));
    const fields = column.words
      ? column.words.map((word) => dse.element("label", {}, dse.element("input", { type: "checkbox",
        name: "word", value: word, checked: !range || range.words.has(word) }), word))
      : [field("low", range ? Number(range.low.toPrecision(6)) : axis.low),
        field("high", range ? Number(range.high.toPrecision(6)) : axis.high)];
    return dse.element("form.editor", {
      onsubmit: (event) => { event.preventDefault(); end(event.target); },
      onkeydown: (event) => { if (event.key === "Escape") close(); },
    }, ...fields, dse.element("span.tools", {},
      dse.element("button", { type: "submit", text: "select" }),
      dse.element("button", { type: "button", text: "clear",
        onclick: () => model.restrict(column.id, null) })));
  };
})();
