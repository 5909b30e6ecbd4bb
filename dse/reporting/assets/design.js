/* The drill-down: one design in full, in a dialog at the side. */
"use strict";

(() => {
  const dse = window.dseViews;

  dse.designView = (model, root, options) => {
    const content = dse.element("div.content");
    const dialog = dse.element("dialog.design", { "aria-label": "design", onclick: (event) => {
      if (event.target === dialog) dialog.close(); // outside of the content
    } }, content);
    let shown = null;
    let asked = 0;

    const close = () => dse.element("button.close", { type: "button", "aria-label": "close",
      text: "×", onclick: () => dialog.close() });

    const open = async (trial) => {
      shown = trial;
      asked += 1;
      const mine = asked;
      dialog.dataset.trial = trial;
      content.replaceChildren(close(), dse.element("p", { text: `Design ${trial} …` }));
      if (!dialog.open) dialog.showModal();
      let found = null;
      let wrong = "";
      try {
        found = await options.design(trial);
      } catch (error) {
        wrong = error.message;
      }
      if (mine !== asked) return;
      content.replaceChildren(close(), ...parts(trial, found, wrong));
      dialog.scrollTop = 0;
      content.querySelector(".dse-close").focus();
    };

    const parts = (trial, found, wrong) => {
      const at = model.place.get(trial);
      const head = [dse.element("h2", { text: `Design ${at === undefined ? trial
        : model.title(at).slice(1).replace(" ", ": ")}` }), dse.element("p.note", { text: standing(at, found) })];
      if (found) return [...head, ...whole(found, options.commands)];
      const told = at === undefined ? [] : dse.table(["", "value"], model.columns
        .filter((c) => c.values[at] !== null).map((c) => [c.axis, model.text(c, at)]));
      const why = wrong || "Costs by component and layer are not in this page.";
      return [...head, dse.element("p.warning", { text: why }),
        ...(at === undefined ? [] : [told]),
        ...(options.commands ? reproduce([`dse explain ${model.view.study} ${trial}`]) : [])];
    };

    const standing = (at, found) => {
      const words = [];
      if (at !== undefined) {
        words.push({ front: "On the feasible Pareto front.", other: "Feasible, off the front.",
          infeasible: "Breaks a constraint." }[model.kind(at)]);
      } else if (found) words.push(found.explained.feasible ? "Feasible." : "Breaks a constraint.");
      if (found && found.explained.fidelity !== "full") {
        words.push(`Evaluated at fidelity ${found.explained.fidelity}.`);
      }
      for (const [name, text] of [["promoted_from", "climbed from"], ["nested_in", "swept with"]]) {
        if (found && name in found.explained) words.push(`It ${text} trial ${found.explained[name]}.`);
      }
      return words.join(" ");
    };

    dialog.addEventListener("close", () => { shown = null; });
    return { dialog, open, close: () => dialog.open && dialog.close(), get shown() { return shown; } };
  };

  const whole = (found, commands) => {
    const { explained } = found;
    const components = Object.entries(explained.components);
    return [
      found.missing ? dse.element("p.warning", {
        text: `Costs by component and layer are not available: ${found.missing}` }) : null,
      dse.element("div.pair", {},
        dse.element("div", {}, dse.element("h3", { text: "Metrics" }), metrics(found)),
        dse.element("div", {}, dse.element("h3", { text: "Knobs" }),
          dse.table(["knob", "value"], Object.entries(explained.params)
            .map(([path, value]) => [path, dse.number(value)])))),
      components.length ? dse.element("div.pair", {},
        shares("Energy of one inference, by component", components, "energy_j", "J", "energy"),
        shares("Area, by component", components, "area_m2", "m²", "area")) : null,
      ...(explained.layers.length ? layers(explained) : []),
      ...(Object.keys(explained.stages).length ? stages(found) : []),
      ...(commands ? reproduce(found.commands, found.points) : []),
    ].filter(Boolean);
  };

  const metrics = ({ explained, metrics: names }) => {
    const rows = names.map(({ name, label, meaning }) => {
      const value = explained.metrics[name];
      const cell = dse.element("span", { title: meaning, text: label });
      return [cell, name.startsWith("accuracy") ? value.toFixed(4) : dse.number(value)];
    });
    const bounds = Object.entries(explained.constraints).map(([text, violation]) => [text,
      violation > 0 ? `missed by ${dse.number(violation)}`
        : `met, ${dse.number(-violation)} to spare`]);
    return dse.table(["metric", "value"], [...rows, ...bounds]);
  };

  /* Parts of a total, the largest first. */
  const shares = (title, components, key, unit, part) => {
    const total = components.reduce((sum, [, cost]) => sum + cost[key], 0);
    const area = unit === "m²";
    const { unit: told, scale } = area ? { unit: "mm²", scale: 1e-6 } : dse.scaled(total, unit);
    const rows = components.filter(([, cost]) => cost[key] > 0)
      .sort(([, a], [, b]) => b[key] - a[key])
      .map(([name, cost]) => ({ name: dse.component(name), share: cost[key],
        text: `${dse.number(cost[key] / scale)} ${told}`, note: dse.percent(cost[key] / total) }));
    return dse.element("div", { "data-part": part },
      dse.element("h3", { text: `${title}: ${dse.number(total / scale)} ${told}` }),
      dse.bars(rows));
  };

  /* Costs, converters and slices of each layer. */
  const layers = (explained) => {
    const energy = (layer) => Object.values(layer.energy_j).reduce((sum, each) => sum + each, 0);
    const total = explained.layers.reduce((sum, layer) => sum + energy(layer), 0);
    const { unit, scale } = dse.scaled(Math.max(...explained.layers.map(energy)), "J");
    const area = Object.values(explained.components).reduce((sum, c) => sum + c.area_m2, 0);
    const arrays = explained.layers.reduce((sum, layer) => sum + layer.crossbars, 0);
    const rows = explained.layers.map((layer) => [layer.name,
      `${layer.k} × ${layer.n}${layer.groups > 1 ? ` × ${layer.groups}` : ""}`,
      dse.number(layer.v), dse.number(layer.crossbars),
      dse.number((area * layer.crossbars) / arrays / 1e-6),
      dse.number(energy(layer) / scale), dse.percent(energy(layer) / total),
      dse.number(layer.latency_s * 1e6)]);
    const largest = Object.entries(explained.components)
      .sort(([, a], [, b]) => b.energy_j - a.energy_j).slice(0, 6).map(([name]) => name);
    const split = explained.layers.map((layer) => {
      const named = largest.map((name) => layer.energy_j[name] || 0);
      const rest = energy(layer) - named.reduce((sum, each) => sum + each, 0);
      return [layer.name, ...[...named, Math.max(0, rest)].map((each) => dse.number(each / scale))];
    });
    const caption = "K wordlines × N outputs of one matrix, V products per image. The area is that "
      + "of the chip in proportion to the arrays of the layer: tiles are shared.";
    return [
      dse.element("h3", { text: "Layers" }),
      dse.table(["layer", "K × N", "V", "arrays", "area (mm²)", `energy (${unit})`, "share",
        "latency (µs)"], rows, { caption }),
      dse.table(["layer", ...largest.map(dse.component), "others"], split,
        { caption: `Energy of each layer by component (${unit}).` }),
      dse.element("h3", { text: "ADC resolutions and slices" }),
      dse.table(["layer", "slice group", "ADC bits", "lossless", "", "non-zero slices"],
        explained.layers.flatMap(groups), { numeric: 1, caption: "Slice groups from the most to the "
          + "least significant one. Below the lossless resolution column sums may be clipped." }),
    ];
  };

  const groups = (layer) => {
    const { used, lossless } = layer.adc_bits;
    const n = used.length;
    return used.map((bits, at) => {
      const clips = bits < lossless[at];
      return [at ? "" : layer.name, n - 1 - at, bits, lossless[at],
        clips ? dse.element("span.clips", { text: "may clip" }) : bits > lossless[at] ? "to spare"
          : "", dse.percent(layer.nonzero_slice_ratio[at] ?? NaN, 2)];
    });
  };

  const stages = ({ explained, seconds }) => [
    dse.element("h3", { text: `Stages of the evaluation${seconds === null ? ""
      : `: ${dse.number(seconds)} s`}` }),
    dse.table(["stage", "from the store", "seconds", "key"], Object.entries(explained.stages)
      .map(([name, trace]) => [name, trace.cached ? "yes" : "no", dse.number(trace.seconds),
        dse.element("code", { text: trace.key })])),
  ];

  const reproduce = (commands, points = null) => [
    dse.element("h3", { text: "How to reproduce it" }),
    dse.element("p.note", { text: "In the folder of the database: look at it, take it away, and "
      + "evaluate what was taken, from its codes alone." }),
    dse.element("pre", { "data-role": "commands", tabindex: 0, text: commands.join("\n") }),
    ...(points ? [dse.element("p.note", { text: "As a given design of a study file:" }),
      dse.element("pre", { tabindex: 0, text: points })] : []),
  ];
})();
