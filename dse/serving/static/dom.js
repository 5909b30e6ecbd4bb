// Elements whose texts are always texts: whatever comes from a study is never read as HTML.

/** An element: `el("p", {class: "note", onclick}, "text", child)`; null children are left out. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  put(made, ...children);
  return made;
}

/** Replace what an element holds. */
export function put(parent, ...children) {
  parent.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined).map((child) =>
      child instanceof Node ? child : document.createTextNode(String(child))));
  return parent;
}

/** Set a text only where it differs, so that a selection in it survives. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const role = (name) => document.querySelector(`[data-role="${name}"]`);

/** A box that says what went wrong; empty and hidden until then. */
export function problemBox() {
  const box = el("div", { class: "problem", role: "alert", hidden: true });
  return {
    box,
    show(error) { say(box, error ? error.message : ""); box.hidden = !error; },
  };
}

/** Ask before something is done; gives the form's values, or null.
 *  fields: [{name, label, value, min}] are numbers that may be changed. */
export function ask({ title, text, yes, fields = [], danger = false }) {
  const dialog = role("ask");
  return new Promise((resolve) => {
    const inputs = fields.map((field) => el("label", {}, field.label, el("input", {
      type: "number", name: field.name, value: field.value ?? "", min: field.min ?? 1, step: 1,
      placeholder: field.placeholder,
    })));
    const form = el("form", { method: "dialog" },
      el("h2", {}, title), el("p", {}, text), ...inputs,
      el("div", { class: "buttons" },
        el("button", { value: "", formnovalidate: true }, "Not now"),
        el("button", { value: "yes", class: danger ? "danger" : "main" }, yes)));
    put(dialog, form);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return resolve(null);
      const values = {};
      for (const field of fields) {
        const text = form.elements[field.name].value;
        if (text !== "") values[field.name] = Number(text);
      }
      return resolve(values);
    }, { once: true });
    dialog.showModal();
    form.querySelector("button[value=yes]").focus();
  });
}
