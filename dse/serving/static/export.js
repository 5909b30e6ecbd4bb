// A button in the drill-down of a design: take it away as files.
import { at, download } from "./api.js";
import { el, problemBox } from "./dom.js";

/** Give every drill-down below `root` a button for its export. */
export function addDownloads(root, name) {
  new MutationObserver(() => {
    const dialog = root.querySelector("dialog.dse-design[open]");
    const title = dialog?.querySelector("h2");
    if (!title || dialog.querySelector(".take-away")) return;
    title.after(takeAway(name, Number(dialog.dataset.trial)));
  }).observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["open"] });
}

function takeAway(name, trial) {
  const { box, show } = problemBox();
  const note = el("span", { class: "note", role: "status" });
  const button = el("button", { class: "main", "data-action": "export", onclick: async () => {
    button.disabled = true;
    show(null);
    note.textContent = "Being written; a network that is not kept any more is trained again…";
    try {
      await download(`${at(name)}/designs/${trial}/export`, `${name}-${trial}.zip`);
      note.textContent = "Saved. Evaluate it again: dse score FOLDER";
    } catch (error) {
      note.textContent = "";
      show(error);
    }
    button.disabled = false;
  } }, "Download the design (zip)");
  return el("div", { class: "take-away" }, button, note, box);
}
