/* The views of a study: front in 2-D and 3-D, parallel coordinates, table, convergence,
 * importance, published designs, failures, and the drill-down of a design.
 *
 * Used by the static report (`dse report`) and by `dse serve`. A page holds, in this order:
 * plotly.min.js (`dse.reporting.front_end.plotly()`), then all of our scripts
 * (`front_end.script()`), and the style sheet (`front_end.style()`). Then
 *
 *     const views = window.dseViews.mount(rootElement, {
 *       view,              // what `dse.reporting.views.study_view()` gives
 *       design,            // async (trial) => what `dse.reporting.views.design_view()` gives;
 *                          // null where the page has no more of it than `view`; an Error whose
 *                          // message is shown if it cannot be had
 *       commands: true,    // whether the drill-down says how to reproduce a design
 *     });
 *     views.update(view);  // newer data of the same study: choices of axes, selection, sorting
 *                          // and an open drill-down stay
 *     views.open(trial);   // the drill-down of a design
 *     views.destroy();     // the root is empty again, no listener is left
 *
 * What is in the page: `rootElement` gets the class `dse-views`; all of our classes begin with
 * `dse-`. Colours follow `prefers-color-scheme`. Nothing is fetched. Texts of the data are set by
 * textContent, or escaped where plotly draws them.
 *
 * After the first front is drawn: `performance.mark("dse:first-front")`, and the root's
 * `data-first-front` holds the milliseconds since the navigation began.
 *
 * Elements to hold on to in tests: `[data-view=front]` (its plot `.dse-plot`), `parallel`,
 * `table`, `published`, `convergence`, `importance`, `failures`, `about`; in the table
 * `tr[data-trial]`; `[data-role=selected]` says how many designs are selected; the drill-down is
 * `dialog.dse-design[open]` with `data-trial`.
 */
"use strict";

(() => {
  const dse = window.dseViews;

  dse.mount = (root, { view, design, commands = true }) => {
    const model = new dse.Model(view);
    root.classList.add("dse-views");
    const drill = dse.designView(model, root, { design, commands });
    const front = dse.frontView(model, root, drill.open);
    const parallel = dse.parallelView(model, root);
    const table = dse.tableView(model, root, drill.open);
    const texts = [dse.aboutView(model), dse.publishedView(model, root, drill.open)];
    const convergence = dse.convergenceView(model, root);
    const later = [dse.importanceView(model), dse.failuresView(model), dse.methodView(model)];
    const [about, published] = texts;
    root.replaceChildren(about.section, front.section, parallel.section, table.section,
      published.section, convergence.section, ...later.map((each) => each.section), drill.dialog);

    const linked = [front, parallel, table];
    model.listen(() => linked.forEach((each) => each.dim()));
    const drawTexts = () => [...texts, ...later].forEach((each) => each.draw());

    const drawn = () => {
      if (root.dataset.firstFront) return;
      performance.mark("dse:first-front");
      root.dataset.firstFront = String(performance.now());
    };
    drawTexts();
    const first = front.draw().then(() => {
      drawn();
      parallel.draw();
      table.draw();
      convergence.draw();
    });

    const again = () => {
      front.draw();
      parallel.draw();
      convergence.draw();
    };
    let width = root.clientWidth;
    const resized = new ResizeObserver(() => {
      if (root.clientWidth === width) return;
      width = root.clientWidth;
      parallel.draw();
    });
    resized.observe(root);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);

    return {
      ready: first,
      open: drill.open,
      update: (newer) => {
        model.read(newer);
        model.found = null;
        drawTexts();
        return first.then(() => front.refresh()).then(() => {
          parallel.refresh();
          table.refresh();
          convergence.draw();
        });
      },
      destroy: () => {
        resized.disconnect();
        dark.removeEventListener("change", again);
        root.querySelectorAll(".dse-plot").forEach((plot) => window.Plotly.purge(plot));
        root.replaceChildren();
        root.classList.remove("dse-views");
        delete root.dataset.firstFront;
      },
    };
  };
})();
