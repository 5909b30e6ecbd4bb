/* What is read and not drawn: the study, given designs, importance, failures, how it was measured. */
"use strict";

(() => {
  const dse = window.dseViews;
  const BARS = 12;
  const FEW = 8;

  /* What the study is, and how far it is. */
  dse.aboutView = (model) => {
    const section = dse.section("about", "Study");
    const draw = () => {
      const { about, counts, drawn, hypervolume, knobs, latest } = model.view;
      const facts = [
        [drawn.front_total, "on the front"],
        [drawn.results, drawn.results === 1 ? "design" : "designs"],
        ...["infeasible", "failed", "pruned", "running", "waiting"]
          .filter((name) => counts[name]).map((name) => [counts[name], name]),
        ...(drawn.front_total ? [[hypervolume, "hypervolume"]] : []),
      ];
      const aside = [
        counts.copies ? `${dse.count(counts.copies, "trial")} proposed a known design and took its `
          + "result" : "",
        counts.lost ? `${dse.count(counts.lost, "trial")} were lost with their worker and tried `
          + "again" : "",
      ].filter(Boolean).join("; ");
      section.replaceChildren(
        dse.element("h2.hidden", { text: "Study" }),
        dse.element("ul.counts", {}, ...facts.map(([n, name]) => dse.element("li", {},
          dse.element("b", { text: dse.number(n) }), dse.element("span", { text: name })))),
        dse.element("dl.about", {}, ...about.flatMap(([term, text]) =>
          [dse.element("dt", { text: term }), dse.element("dd", { text })])),
        dse.element("p.note", { text: [latest ? `Last result ${latest.replace("T", " ")
          .replace("Z", " UTC")}.` : "", aside ? `${aside}; neither counts as a design.` : ""]
          .join(" ") }),
        dse.element("details", {},
          dse.element("summary", { text: `What was searched (${dse.count(knobs.length, "knob")})` }),
          dse.table(["knob", "values"], knobs, { numeric: 9 })));
    };
    return { section, draw };
  };

  /* The designs of the study file beside the front, those of the papers by name. */
  dse.publishedView = (model, root, open) => {
    const section = dse.section("published", "Published and given designs");
    const draw = () => {
      const { drawn, objectives, published, study } = model.view;
      const link = (trial) => (trial === null ? "–" : dse.element("button.link", {
        type: "button", text: `#${trial}`, onclick: () => open(trial) }));
      const rows = published.designs.map((each) => [each.name, link(each.trial),
        ...each.values.map((value, at) => dse.number(value)),
        distance(each, drawn.front_total),
        link(each.beaten_by),
        each.beaten_by === null ? "–" : gains(each, objectives)]);
      const waiting = published.given - published.designs.length;
      const title = section.querySelector("h2");
      section.replaceChildren(title, ...(rows.length ? [
        dse.table(["design", "trial", ...objectives.map((o) => o.label), "distance to the front",
          "beaten by", "which is"], rows, { numeric: 1 }),
        dse.element("p.note", { text: "The distance is by how much a design would have to improve "
          + "in every objective to be beaten no more, in parts of the front's range (additive "
          + "epsilon indicator)." }),
      ] : []), dse.element("p.note", { text: published.given === 0
        ? `The study file of ${study} gives no designs. Designs of the papers are evaluated and `
          + "drawn in these axes if it does, such as points: [{published: bit_slice_2019}]."
        : waiting > 0 ? `${dse.count(waiting, "given design")} without a result of `
          + `${waiting === 1 ? "its" : "their"} own.` : "" }));
    };
    return { section, draw };
  };

  const distance = (given, nFront) => {
    const broken = given.feasible ? "" : "breaks a constraint";
    if (given.on_front) return "on the front";
    if (!nFront) return broken || "–";
    const far = given.shortfall > 0 ? `${dse.percent(given.shortfall)} short` : "";
    return [far || (broken ? "" : "not beaten in all"), broken].filter(Boolean).join(", ");
  };

  /* What the better design changes in each objective. */
  const gains = (given, objectives) => objectives.map((objective, at) => {
    const [was, is] = [given.values[at], given.beaten_by_values[at]];
    if (objective.name.startsWith("accuracy")) {
      return `${is >= was ? "+" : "−"}${dse.number(Math.abs(100 * (is - was)))} points`;
    }
    return was ? `${dse.number(is / was)} × ${objective.name}` : "";
  }).filter(Boolean).join(", ");

  /* Which knobs decide, for each objective. */
  dse.importanceView = (model) => {
    const section = dse.section("importance", "Importance of the knobs");
    const draw = () => {
      const { importance } = model.view;
      const told = importance.filter((each) => each.knobs.length);
      const title = section.querySelector("h2");
      const silent = [...new Set(importance.filter((e) => !e.knobs.length).map((e) => e.note))];
      section.replaceChildren(title,
        dse.element("div.pair", {}, ...told.map((each) => dse.element("div", {},
          dse.element("h3", { text: each.label }),
          dse.bars(rowsOf(each)),
          dse.element("p.note", { text: `${each.note}.` })))),
        ...silent.map((note) => dse.element("p.note", { text: `${note}.` })),
        told.length ? dse.element("p.note", { text: "How much each knob decides whether a design "
          + "is among the best in one objective, as a share of all knobs. A knob that some designs "
          + "lack is judged on those that have it, as many as stand "
          + "behind it. With few designs small shares are chance." }) : "");
    };
    return { section, draw };
  };

  const rowsOf = (each) => {
    const rows = each.knobs.slice(0, BARS).map((knob) => ({
      name: knob.results === each.results ? knob.path
        : `${knob.path} (in ${dse.number(knob.results)})`,
      share: knob.share, text: dse.percent(knob.share),
    }));
    const rest = each.knobs.slice(BARS);
    const share = rest.reduce((sum, knob) => sum + knob.share, 0);
    return rest.length ? [...rows, { name: `${rest.length} others`, share: 0,
      text: dse.percent(share) }] : rows;
  };

  dse.failuresView = (model) => {
    const section = dse.section("failures", "Failures");
    const draw = () => {
      const { rows, total } = model.view.failures;
      section.hidden = total === 0;
      section.replaceChildren(section.querySelector("h2"),
        dse.element("details", { open: rows.length <= FEW },
          dse.element("summary", { text: rows.length < total
            ? `The last ${rows.length} of ${dse.number(total)} failed trials`
            : `${dse.count(total, "trial")} failed` }),
          dse.table(["trial", "reason"], [...rows].reverse(), { numeric: 9,
            caption: "The newest first; trials that were lost and tried again are left out." })));
    };
    return { section, draw };
  };

  /* How the numbers came about. */
  dse.methodView = (model) => {
    const section = dse.section("method", "How it was measured");
    const draw = () => {
      const { data, versions } = model.view;
      const images = data.test_images
        ? `, on the first ${dse.number(data.test_images)} of a fixed permutation` : "";
      const texts = [
        "Weights and inputs are integer codes. Inputs arrive bit by bit; every column sum of every "
        + "array goes through the ADC of its slice group and is clipped at that resolution, then "
        + "shifted and added. accuracy_ideal is the same network with unlimited ADCs. Accuracy is "
        + `the fraction of test images classified right${images}; which epoch is kept is decided `
        + "on training images only.",
        "Energy and latency are those of one inference, area that of the whole chip, all estimated "
        + "from the codes themselves.",
        data.mnist ? "MNIST handwritten digits: copyright Yann LeCun and Corinna Cortes, under the "
          + "Creative Commons Attribution-ShareAlike 3.0 licence; Y. LeCun et al., “Gradient-Based "
          + "Learning Applied to Document Recognition”, Proc. IEEE 86(11), 1998." : "",
        Object.keys(versions).length ? `Versions: ${Object.entries(versions)
          .map((pair) => pair.join(" ")).join(", ")}.` : "",
      ];
      section.replaceChildren(section.querySelector("h2"),
        ...texts.filter(Boolean).map((text) => dse.element("p.note", { text })));
    };
    return { section, draw };
  };
})();
