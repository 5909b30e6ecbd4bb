// A new study: its file is checked by the server, and run by a process of its own.
import { at, get, post } from "./api.js";
import { el, problemBox, put, say } from "./dom.js";

const EXAMPLE = `# The bit-slice paper's MNIST network: which regulariser, how strong, and how few ADC bits?
name: first-study
task: {name: mlp_mnist, train_images: 20000}
fixed:
  engine: isaac
  cell.bits: 2
space:
  regularizer: [none, l1, bit_slice_l1]
  regularizer.strength: log 0.1..5
  adc.bits: 1..8
points:
  - {regularizer: none, adc.bits: 8}     # the baseline: 8-bit ADCs everywhere
objectives: [maximize accuracy, minimize energy_uj]
constraints: [accuracy_loss <= 0.2]
sampler: {name: auto, seed: 1}
budget: {trials: 30, epochs: 2}
launch: {name: ray, workers: auto}
`;

export function showLaunch(root) {
  document.title = "dse: new study";
  const text = el("textarea", { name: "text", rows: 22, spellcheck: "false", required: true,
    "aria-label": "Study file", placeholder: "name: my-study\ntask: mlp_mnist\nspace: …" });
  const file = el("input", { type: "file", accept: ".yaml,.yml,text/*", hidden: true });
  const trials = el("input", { type: "number", min: 1, name: "trials", placeholder: "as in the file" });
  const workers = el("input", { type: "number", min: 1, name: "workers", placeholder: "as in the file" });
  const launcher = el("select", { name: "launch" }, ...[["", "as in the file"],
    ["ray", "ray: several at a time"], ["serial", "serial: one after the other"]].map(
    ([value, words]) => el("option", { value }, words)));
  const check = el("button", { type: "button" }, "Check");
  const launch = el("button", { class: "main" }, "Launch");
  const busy = el("span", { class: "note", role: "status" });
  const { box, show } = problemBox();
  const good = el("p", { class: "good", role: "status", hidden: true });
  const described = el("pre", { class: "described", hidden: true, tabindex: 0 });
  const allowed = el("p", { class: "note" });

  const form = el("form", { class: "launch" },
    el("div", { class: "tools" },
      el("button", { type: "button", onclick: () => file.click() }, "Open a file…"),
      el("button", { type: "button", onclick: () => { text.value = EXAMPLE; changed(); } }, "Insert an example")),
    text,
    el("div", { class: "fields" }, el("label", {}, "Designs", trials),
      el("label", {}, "Launcher", launcher), el("label", {}, "Workers", workers)),
    el("div", { class: "buttons" }, check, launch, busy),
    box, good, described);
  put(root, el("div", { class: "head" }, el("h1", {}, "New study")),
    el("p", { class: "note" }, "The study runs on the server's machine, in a process of its own: it goes on when this page, or the server, is closed."),
    allowed, form, file);

  get("/server").then((server) => say(allowed, allowance(server)), () => {});
  const from = new URLSearchParams(window.location.search).get("from");
  if (from) get(`${at(from)}/file`).then((file) => { text.value = file.text; }, show);

  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    if (chosen.size > 200 * 1024) show(new Error(`${chosen.name} has more than 200 KiB: it is no study file.`));
    else { text.value = await chosen.text(); changed(); }
    file.value = "";
  });
  text.addEventListener("input", changed);
  check.addEventListener("click", () => act("Checking…", async () => {
    const found = await post("/studies/check", wanted());
    say(good, found.exists
      ? `The file is good, but there is a study ${found.name} already: resume that one, or choose another name.`
      : `The file is good: study ${found.name} may be launched.`);
    good.hidden = false;
    say(described, found.described);
    described.hidden = false;
  }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act("Starting…", async () => {
      const { name } = await post("/studies", wanted());
      window.location.assign(at(name));
    });
  });

  function changed() { show(null); good.hidden = true; described.hidden = true; }

  function wanted() {
    const body = { text: text.value };
    if (trials.value) body.trials = Number(trials.value);
    if (workers.value) body.workers = Number(workers.value);
    if (launcher.value) body.launch = launcher.value;
    return body;
  }

  async function act(words, work) {
    changed();
    check.disabled = launch.disabled = true;
    say(busy, words);
    try { await work(); } catch (error) { show(error); }
    say(busy, "");
    check.disabled = launch.disabled = false;
  }
}

function allowance(server) {
  const code = server.allow_code
    ? "It may name code of its own (module:attribute): this server was started with --allow-code."
    : "It names what is installed; code of its own (module:attribute) is not allowed here.";
  const data = server.data_root
    ? ` Checkpoints and data folders lie below ${server.data_root}.`
    : " It names no files of the server.";
  return code + data;
}
