/* Elements, numbers and colours: what every view needs. */
"use strict";

window.dseViews = window.dseViews || {};

(() => {
  const dse = window.dseViews;

  /* An element; children are elements or text, never markup. `on…` attributes are listeners. */
  dse.element = (tag, attributes = {}, ...children) => {
    const [name, ...classes] = tag.split(".");
    const made = document.createElement(name);
    if (classes.length) made.className = classes.map((each) => `dse-${each}`).join(" ");
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (key === "text") made.textContent = value;
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  /* A long name that may break after its dots and underscores. */
  dse.breakable = (text) => text.split(/(?<=[._/])/).flatMap((part, at) =>
    (at ? [document.createElement("wbr"), part] : [part]));

  /* Round values within a range, about so many. */
  dse.roundSteps = (low, high, about) => {
    const rough = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high * (1 + 1e-12) + step * 1e-9; at += 1) {
      found.push(Number((at * step).toPrecision(12)));
    }
    return found;
  };

  /* Four significant digits, thousands apart. */
  const THOUSANDS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  dse.number = (value) => {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value !== "number") return String(value);
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e3) return String(value);
    if ((Number.isInteger(value) || size >= 1e4) && size < 1e9) return THOUSANDS.format(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(3);
    return String(Number(value.toPrecision(4)));
  };

  dse.count = (n, one, many = `${one}s`) => `${dse.number(n)} ${n === 1 ? one : many}`;

  dse.percent = (share, digits = 1) => {
    const told = (100 * share).toFixed(digits);
    return share > 0 && Number(told) === 0 ? `< ${(10 ** -digits).toFixed(digits)} %` : `${told} %`;
  };

  /* A quantity in the prefix under which it is between 1 and 1000. */
  const PREFIXES = [["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9], ["p", 1e-12], ["f", 1e-15]];
  dse.scaled = (value, unit) => {
    const found = PREFIXES.find(([, scale]) => value >= scale) || PREFIXES[PREFIXES.length - 1];
    return value > 0 ? { unit: `${found[0]}${unit}`, scale: found[1] } : { unit, scale: 1 };
  };

  /* Text for plotly, which reads a little markup: it reads none in this. */
  dse.plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  /* The colours of the page as it looks now, from its style sheet. */
  dse.colours = (root) => {
    const style = getComputedStyle(root);
    const names = ["front", "other", "infeasible", "given", "knee", "extreme", "ink", "soft",
      "line", "paper", "ground"];
    return Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  };

  /* A colour of six hexadecimal digits, less opaque. */
  const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  dse.faint = (colour, opacity) => `rgba(${parts(colour).join(",")},${opacity})`;

  /* Names of components: `tile_output_register`, `adc`. */
  const SHORT = { adc: "ADC", dac: "DAC", edram: "eDRAM" };
  dse.component = (name) => name.split("_").map((word) => SHORT[word] || word).join(" ");

  /* A titled part of the page. */
  dse.section = (view, title, ...children) =>
    dse.element("section.section", { "data-view": view, "aria-label": title },
      dse.element("h2", { text: title }), ...children);

  /* Bars of shares: name, bar, value. Rows are {name, share, text, note}. */
  dse.bars = (rows) => {
    const widest = Math.max(...rows.map((row) => row.share), 0) || 1;
    const noted = rows.some((row) => row.note);
    return dse.element(noted ? "div.bars.noted" : "div.bars", {}, ...rows.map((row) => {
      const bar = dse.element("i");
      bar.style.width = `${Math.max(0, 100 * row.share / widest)}%`;
      return dse.element("div.bar", {},
        dse.element("span", {}, ...dse.breakable(row.name)),
        dse.element("span.track", { "aria-hidden": "true" }, bar),
        dse.element("span.n", { text: row.text }),
        noted ? dse.element("span.n.soft", { text: row.note }) : null);
    }));
  };

  /* A table of texts; numbers of the columns that are right-aligned begin with `numeric`. */
  dse.table = (headings, rows, { numeric = 1, caption = null } = {}) =>
    dse.element("div.scroll", { tabindex: 0, role: "region", "aria-label": caption || headings[0] },
      dse.element("table", {},
        caption ? dse.element("caption", { text: caption }) : null,
        dse.element("thead", {}, dse.element("tr", {}, ...headings.map((text, at) =>
          dse.element(at >= numeric ? "th.n" : "th", { scope: "col" }, ...dse.breakable(text))))),
        dse.element("tbody", {}, ...rows.map((row) =>
          dse.element("tr", {}, ...row.map((cell, at) => {
            const td = dse.element(at >= numeric ? "td.n" : "td");
            td.append(cell instanceof Node ? cell : String(cell));
            return td;
          }))))));

  dse.select = (label, options, chosen, change) => {
    const list = dse.element("select", { "aria-label": label, onchange: () => change(list.value) },
      ...options.map(([value, text]) =>
        dse.element("option", { value, text, selected: value === chosen })));
    return dse.element("label.choice", {}, dse.element("span", { text: label }), list);
  };
})();
