// One study: what it is doing, what may be done with it, and its views, live.
import { at, get, getNew, post, repeat } from "./api.js";
import { ask, el, problemBox, put, say } from "./dom.js";
import { addDownloads } from "./export.js";
import { showLog } from "./log.js";
import { showTrials } from "./trials.js";
import { ALIVE, STATES, badge, bar, counts, number, setBadge, setBar } from "./words.js";

export function showStudy(root, name) {
  document.title = `${name} · dse`;
  const state = badge("starting");
  const progress = bar(0, null);
  const done = el("span", { class: "note" });
  const why = el("p", { class: "why", role: "status" });
  const lastRun = el("p", { class: "note", hidden: true });
  const buttons = el("div", { class: "buttons" });
  const { box, show } = problemBox();
  const tabs = tabsOf(name);
  const missing = el("p", {}, el("a", { href: "/" }, "All studies"));
  missing.hidden = true;
  const about = [el("div", { class: "progress wide" }, progress, done), why, lastRun];
  put(root, el("div", { class: "head" }, el("h1", {}, name), state, buttons),
    ...about, box, missing, tabs.bar, ...tabs.panels);
  let summary = null;

  const actions = {
    pause: { words: "Pause", run: () => act("pause", {
      title: `Pause ${name}?`, yes: "Pause",
      text: "Its driver stops within a second or two. What is being evaluated goes back to the queue; Resume goes on." }) },
    resume: { words: "Resume", run: resume },
    cancel: { words: "Cancel", danger: true, run: () => act("cancel", {
      title: `Cancel ${name}?`, yes: "Cancel the study", danger: true,
      text: "Its driver stops, and the study says that it is not to go on. Nothing is deleted: what is evaluated stays." }) },
  };

  async function act(action, question, body = undefined) {
    const answer = await ask(question);
    if (answer === null) return;
    await doIt(action, body);
  }

  async function resume() {
    const finished = summary.budget !== null && summary.done >= summary.budget;
    const answer = await ask({
      title: `Resume ${name}?`, yes: "Resume",
      text: finished
        ? `All ${number(summary.budget)} designs are evaluated. Give more, and the search goes on from here.`
        : "It goes on where it stopped, in a process of its own. What a dead run left behind is taken up.",
      fields: [{ name: "trials", label: "Designs in all", min: 1,
        value: finished ? 2 * summary.budget : summary.budget }],
    });
    if (answer !== null) await doIt("resume", answer);
  }

  async function doIt(action, body) {
    for (const button of buttons.querySelectorAll("button")) button.disabled = true;
    try {
      await post(`${at(name)}/${action}`, body);
      show(null);
    } catch (error) {
      show(error);
    }
    shownActions = "";
    polling.now();
  }

  let shownActions = "";
  function draw(now) {
    setBadge(state, now.state);
    setBar(progress, now.done, now.budget);
    progress.dataset.state = now.state;
    progress.hidden = !now.budget;
    say(done, now.budget ? `${number(now.done)} of ${number(now.budget)} designs · ${counts(now.n_trials)}` : "");
    say(why, `${now.why[0].toUpperCase()}${now.why.slice(1)}.`);
    why.dataset.state = now.state;
    const ended = now.run && !now.run.alive && now.run.exit_code && now.state !== "failed";
    lastRun.hidden = !ended || ALIVE.has(now.state);
    if (ended) say(lastRun, `The last run that was started here ended with exit code ${now.run.exit_code}; see its log.`);
    const wanted = now.actions.join();
    if (wanted !== shownActions || !buttons.childElementCount) {
      shownActions = wanted;
      const again = now.state === "failed" && !now.version ? "Correct and launch again" : "Use its file";
      put(buttons, el("a", { class: "button", href: `/new?from=${encodeURIComponent(name)}`,
        title: "for a new study" }, again), ...now.actions.map((action) => el("button", {
        "data-action": action, onclick: actions[action].run,
        class: actions[action].danger ? "danger" : "main",
      }, actions[action].words)));
    }
  }

  const results = liveViews(name, tabs.panel("results"), show);
  showTrials(tabs, name, (trial) => {
    tabs.open("results"); // the drill-down lies in there
    results.open(trial, () => tabs.open("trials"));
  });
  const log = showLog(tabs, name);
  if (window.location.hash === "#log") tabs.open("log");

  const polling = repeat(async () => {
    try {
      summary = await get(at(name));
      if (!missing.hidden) window.location.reload();
    } catch (error) {
      if (error.status) show(error);
      if (error.status === 404 || error.status === 422) {
        setBadge(state, "failed");
        say(state, "not there");
        missing.hidden = false;
        for (const part of [...about, tabs.bar, ...tabs.panels]) part.hidden = true;
      }
      throw error;
    }
    draw(summary);
    results.follow(summary); // not waited for: a large front takes a while to draw
    if (summary.state === "failed" && !summary.version) tabs.open("log");
    log.alive(ALIVE.has(summary.state));
    return ALIVE.has(summary.state) ? 1.5 : 4;
  });
}

/** Between two drawings of a study that runs; five times as long as one takes, if that is more. */
const LEAST_MS = 4000;

/** The views of dse.reporting, drawn when there are results and again when there are more. */
function liveViews(name, panel, show) {
  const note = el("p", { class: "empty", role: "status" }, "Waiting for the first results…");
  const root = el("div", { "data-role": "views" });
  put(panel, note, root);
  let views = null;
  let version = null;
  let tag = "";
  let busy = false;
  let notBefore = 0;

  async function mount(view) {
    await scripts();
    views = window.dseViews.mount(root, {
      view,
      design: (trial) => get(`${at(name)}/designs/${trial}`),
      commands: true,
    });
    addDownloads(root, name);
  }

  async function follow(summary) {
    if (busy || (views && ALIVE.has(summary.state) && performance.now() < notBefore)) return;
    busy = true;
    const began = performance.now();
    try { await refresh(summary); } catch (error) { show(error); }
    const now = performance.now();
    notBefore = now + Math.max(LEAST_MS, 5 * (now - began));
    busy = false;
  }

  async function refresh(summary) {
    if (summary.version === version || !summary.version) {
      if (!summary.version) say(note, "The study is being made: data and network are checked first.");
      return;
    }
    const n = summary.n_trials;
    if (!views && !n.complete) {
      say(note, ALIVE.has(summary.state) ? "Waiting for the first results…"
        : `No results: ${STATES[summary.state] ?? "not a study of dse"}, ${counts(n)}.`);
      if (!n.failed && !n.pruned) return;
    }
    const found = await getNew(`${at(name)}/view`, tag);
    if (found !== null) {
      tag = found.tag;
      if (views) await views.update(found.content);
      else await mount(found.content);
      note.hidden = true;
    }
    version = summary.version;
  }

  return { follow, open(trial, closed) {
    if (!views) return;
    views.open(trial);
    root.querySelector("dialog.dse-design[open]")?.addEventListener("close", closed, { once: true });
  } };
}

let loaded = null;
function scripts() {
  loaded ??= ["/assets/plotly.js", "/assets/views.js"].reduce((before, src) =>
    before.then(() => new Promise((done, failed) => {
      const script = el("script", { src });
      script.onload = done;
      script.onerror = () => failed(new Error(`${src} cannot be loaded`));
      document.head.append(script);
    })), Promise.resolve());
  return loaded;
}

function tabsOf(name) {
  const titles = { results: "Results", trials: "Trials", log: "Log" };
  const panels = {};
  const buttons = {};
  const listeners = {};
  const strip = el("div", { class: "tabs", role: "tablist", "aria-label": name });
  function open(key) {
    for (const [other, panel] of Object.entries(panels)) {
      panel.hidden = other !== key;
      buttons[other].setAttribute("aria-selected", String(other === key));
      buttons[other].tabIndex = other === key ? 0 : -1;
    }
    listeners[key]?.();
  }
  for (const [key, title] of Object.entries(titles)) {
    panels[key] = el("section", { role: "tabpanel", "data-panel": key, hidden: true });
    buttons[key] = el("button", { role: "tab", "data-tab": key, onclick: () => open(key) }, title);
    strip.append(buttons[key]);
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const keys = Object.keys(titles);
    const now = keys.findIndex((key) => !panels[key].hidden);
    const next = keys[(now + step + keys.length) % keys.length];
    open(next);
    buttons[next].focus();
  });
  open("results");
  return { bar: strip, panels: Object.values(panels), panel: (key) => panels[key], open,
    opened(key, work) { listeners[key] = work; } };
}
