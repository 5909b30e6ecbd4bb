/* What the plots of plotly share: layout, colours, axes, and drawing them. */
"use strict";

(() => {
  const dse = window.dseViews;
  const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';

  dse.axis = (colours, title, more = {}) => ({
    title: { text: dse.plain(title), font: { size: 13 }, standoff: 10 },
    color: colours.ink,
    gridcolor: colours.line,
    linecolor: colours.soft,
    zeroline: false,
    showline: true,
    ticks: "outside",
    tickcolor: colours.soft,
    automargin: true,
    exponentformat: "power",
    ...more,
  });

  dse.layout = (colours, more = {}) => ({
    font: { family: FONT, size: 12, color: colours.ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 64, r: 24, t: 16, b: 56 },
    hoverlabel: {
      bgcolor: colours.paper, bordercolor: colours.soft, align: "left",
      font: { color: colours.ink, family: FONT, size: 12 },
    },
    ...more,
  });

  dse.config = {
    responsive: true, displaylogo: false, scrollZoom: false,
    modeBarButtonsToRemove: ["toImage", "autoScale2d", "hoverClosestCartesian",
      "hoverCompareCartesian", "toggleSpikelines", "hoverClosest3d", "tableRotation",
      "resetCameraLastSave3d"],
  };

  /* Draw, and leave the plot's own height to the style sheet. */
  dse.draw = (plot, traces, layout) =>
    window.Plotly.react(plot, traces, { ...layout, autosize: true }, dse.config);

  /* The hypervolume over results or time; it is a staircase. */
  dse.convergenceView = (model, root) => {
    const plot = dse.element("div.plot.short", { "data-role": "convergence" });
    const note = dse.element("p.note");
    let over = "results";
    const choice = dse.select("over", [["results", "results"], ["hours", "time"]], over, (to) => {
      over = to;
      draw();
    });
    const section = dse.section("convergence", "Convergence",
      dse.element("div.tools", {}, choice), plot, note);

    const draw = () => {
      const { convergence, objectives } = model.view;
      const n = convergence.results.length;
      choice.hidden = plot.hidden = n === 0;
      if (!n) {
        note.textContent = "No design meets every constraint yet: there is no front to grow.";
        return;
      }
      const timed = convergence.hours.some((each) => each !== null);
      choice.hidden = !timed;
      const longest = Math.max(...convergence.hours.map((each) => each || 0));
      const [unit, scale] = longest >= 2 ? ["hours", 1] : longest * 60 >= 2 ? ["minutes", 60]
        : ["seconds", 3600];
      const xs = over === "results" || !timed ? convergence.results
        : convergence.hours.map((each) => each === null ? null : each * scale);
      const title = over === "results" || !timed ? "results, in the order in which they came"
        : `time since the study began (${unit})`;
      const colours = dse.colours(root);
      dse.draw(plot, [{
        x: [0, ...xs], y: [0, ...convergence.hypervolume], mode: "lines", line: {
          shape: "hv", color: colours.front, width: 2 }, fill: "tozeroy",
        fillcolor: dse.faint(colours.front, 0.08), hovertemplate: "%{x:.4~g}: %{y:.4~g}<extra></extra>",
      }], dse.layout(colours, {
        xaxis: dse.axis(colours, title, { rangemode: "tozero", tickformat: ",~r" }),
        yaxis: dse.axis(colours, "hypervolume", { rangemode: "tozero" }),
        showlegend: false,
      }));
      const reference = objectives.map((o) => `${o.name} ${dse.number(o.reference)}`).join(", ");
      const { reached } = convergence;
      note.textContent = `${reached ? `99 % of the hypervolume of now was reached after `
        + `${dse.count(reached.results, "result")}${reached.hours === null ? ""
          : ` and ${dse.number(reached.hours * scale)} ${unit}`}. ` : ""}`
        + `It is what the front dominates, up to ${reference}: the worst value of each objective `
        + `among all results. Pauses of the study count as time.`;
    };
    return { section, draw };
  };
})();
