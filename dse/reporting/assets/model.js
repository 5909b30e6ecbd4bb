/* Model: the designs of a view, and which of them are selected; the views listen to it. */
"use strict";

(() => {
  const dse = window.dseViews;
  const CONDITION = /^([\w.@-]+)(<=|>=|==|!=|=|<|>)(\S+)$/;
  const SIGNS = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    "==": (a, b) => a === b, "!=": (a, b) => a !== b, "=": (a, b) => a === b,
  };

  dse.Model = class {
    constructor(view) {
      this.picked = null; // trials chosen in the front; null is all
      this.ranges = new Map(); // by column: {low, high} of numbers, {words: Set} of words
      this.query = "";
      this.listeners = new Set();
      this.read(view);
    }

    read(view) {
      this.view = view;
      this.columns = view.columns;
      this.column = new Map(view.columns.map((column) => [column.id, column]));
      this.trials = view.designs.trial;
      this.size = this.trials.length;
      this.place = new Map(this.trials.map((trial, at) => [trial, at]));
      this.texts = null;
      for (const id of [...this.ranges.keys()]) if (!this.column.has(id)) this.ranges.delete(id);
    }

    listen(listener) {
      this.listeners.add(listener);
    }

    changed() {
      this.found = null;
      for (const listener of this.listeners) listener();
    }

    pick(trials) {
      this.picked = trials === null ? null : new Set(trials);
      this.changed();
    }

    restrict(id, range) {
      if (range === null) this.ranges.delete(id);
      else this.ranges.set(id, range);
      this.changed();
    }

    search(query) {
      this.query = query;
      this.changed();
    }

    clear() {
      this.picked = null;
      this.ranges.clear();
      this.query = "";
      this.changed();
    }

    get filtered() {
      return this.picked !== null || this.ranges.size > 0 || this.query.trim() !== "";
    }

    /* A number, or a word; null where the design has none. */
    value(column, at) {
      const stored = column.values[at];
      return stored === null || column.words === null ? stored : column.words[stored];
    }

    text(column, at) {
      const value = this.value(column, at);
      if (value === null) return "–";
      if (column.id.startsWith("accuracy")) return value.toFixed(4);
      return dse.number(value);
    }

    /* Whether a value of a column is within a range of the parallel coordinates. */
    static within(range, value) {
      if (value === null) return false;
      return range.words ? range.words.has(value) : value >= range.low && value <= range.high;
    }

    /* Places of the selected designs, in the order of the view. */
    selected() {
      if (this.found) return this.found;
      const ranges = [...this.ranges].map(([id, range]) => [this.column.get(id), range]);
      const tests = this.query.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) =>
        this.test(word));
      this.found = [];
      for (let at = 0; at < this.size; at += 1) {
        if (this.picked && !this.picked.has(this.trials[at])) continue;
        if (!ranges.every(([c, range]) => dse.Model.within(range, this.value(c, at)))) continue;
        if (tests.every((test) => test(at))) this.found.push(at);
      }
      return this.found;
    }

    /* What one word of the filter asks: `energy_uj<5`, or that the text of the row has it. */
    test(word) {
      const match = CONDITION.exec(word);
      const column = match && this.columns.find((each) => each.id.toLowerCase() === match[1]);
      if (!column) return (at) => this.words(at).includes(word);
      const [, , sign, bound] = match;
      const number = column.words === null;
      return (at) => {
        const value = this.value(column, at);
        if (value === null) return false;
        return number ? SIGNS[sign](value, Number(bound))
          : SIGNS[sign](String(value).toLowerCase(), bound);
      };
    }

    /* All of a row that is text, in small letters. */
    words(at) {
      if (!this.texts) this.texts = new Array(this.size);
      if (this.texts[at] === undefined) {
        const { designs } = this.view;
        const knobs = this.columns.filter((c) => c.kind === "knob" && c.values[at] !== null)
          .map((c) => `${c.id}=${this.value(c, at)}`);
        const state = [designs.front[at] ? "front" : "", designs.feasible[at] ? "" : "infeasible"];
        this.texts[at] = [`#${this.trials[at]}`, designs.given[at], designs.marks[at], ...state,
          ...knobs].join(" ").toLowerCase();
      }
      return this.texts[at];
    }

    /* What a design is called: its number, and what it stands out for. */
    title(at) {
      const { designs } = this.view;
      const notes = [designs.given[at], designs.marks[at]].filter(Boolean).join(", ");
      return `#${this.trials[at]}${notes ? ` ${notes}` : ""}`;
    }

    kind(at) {
      const { designs } = this.view;
      if (designs.front[at]) return "front";
      return designs.feasible[at] ? "other" : "infeasible";
    }

    /* The command that finds the designs of the same ranges among all of the study. */
    command() {
      const quoted = [...this.ranges].flatMap(([id, range]) => {
        if (range.words) {
          if (range.words.size === 1) return [`${id}==${[...range.words][0]}`];
          return this.column.get(id).words.filter((word) => !range.words.has(word))
            .map((word) => `${id}!=${word}`);
        }
        return [`${id}>=${Number(range.low.toPrecision(6))}`,
          `${id}<=${Number(range.high.toPrecision(6))}`];
      });
      return [`dse pareto ${this.view.study}`, ...quoted.map((each) => `--where "${each}"`)]
        .join(" ");
    }
  };
})();
