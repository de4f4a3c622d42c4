// The rows of a sheet, what was edited in them, and each step back. It knows nothing of the page.
"use strict";

class SheetModel {
  constructor(data) {
    this.noun = data.noun;
    this.nouns = data.nouns;
    const key = { name: data.key.name, label: data.key.label, kind: "key", choices: [], empty: null };
    this.columns = [key, ...data.columns];
    this.rows = [];
    this.byKey = new Map();
    this.byId = new Map();
    this.edits = new Map(); // by "key column": { key, column, seen, text }
    this.problems = new Map(); // by the same: why it is refused
    this.done = [];
    this.undone = [];
    this.onchange = () => {};
    this.addRows(data.rows);
  }

  addRows(rows) {
    for (const row of rows) {
      if (this.byKey.has(row.key)) continue;
      this.byKey.set(row.key, this.rows.length);
      this.byId.set(row.id, this.rows.length);
      this.rows.push(row);
    }
  }

  // The stored text; null for NULL.
  seen(r, c) {
    const value = this.rows[r].values[c - 1];
    return value !== null && typeof value === "object" ? value.cut : value;
  }

  isLocked(r, c) {
    const value = this.rows[r].values[c - 1];
    return c === 0 || (value !== null && typeof value === "object");
  }

  text(r, c) {
    if (c === 0) return this.rows[r].id;
    return this.edit(r, c)?.text ?? this.seen(r, c) ?? "";
  }

  name(r, c) {
    return `${this.rows[r].key} ${this.columns[c].name}`;
  }

  edit(r, c) {
    return this.edits.get(this.name(r, c));
  }

  problem(r, c) {
    return this.problems.get(this.name(r, c)) ?? "";
  }

  // Writes { r, c, text } as one step. Returns how many are locked, and stay.
  write(changes) {
    const step = [];
    let locked = 0;
    for (const { r, c, text } of changes) {
      if (this.isLocked(r, c)) {
        locked += 1;
        continue;
      }
      const before = this.edit(r, c);
      const cleaned = Cells.clean(this.columns[c], text);
      const seen = before ? before.seen : this.seen(r, c);
      const after = cleaned === (seen ?? "") ? undefined : { key: this.rows[r].key, column: this.columns[c].name, seen, text: cleaned };
      if (before?.text !== after?.text) step.push({ r, c, before, after });
    }
    this.#take(step);
    return locked;
  }

  // Takes back edits that were kept: lists of key, column, what was seen, and the text.
  restore(cells) {
    const step = [];
    for (const [key, name, seen, text] of cells) {
      const r = this.byKey.get(key), c = this.columns.findIndex((column) => column.name === name);
      if (r === undefined || c < 1 || this.isLocked(r, c) || text === (this.seen(r, c) ?? "")) continue;
      step.push({ r, c, before: this.edit(r, c), after: { key, column: name, seen, text } });
    }
    this.#take(step);
  }

  undo() {
    return this.#move(this.done, this.undone, "before");
  }

  redo() {
    return this.#move(this.undone, this.done, "after");
  }

  // Shows the errors of the server at their cells; returns those that no cell of the sheet has.
  refuse(errors) {
    const others = [], cells = [];
    for (const [key, column, message] of errors) {
      const found = [...this.edits.values()].filter((edit) => edit.key === key && (!column || edit.column === column));
      if (!found.length) others.push(message);
      for (const edit of found) {
        this.problems.set(`${edit.key} ${edit.column}`, message);
        cells.push({ r: this.byKey.get(edit.key), c: this.columns.findIndex((each) => each.name === edit.column) });
      }
    }
    this.onchange(cells);
    return others;
  }

  listProblems() {
    return [...this.problems.keys()].map((name) => {
      const { key, column } = this.edits.get(name);
      return { r: this.byKey.get(key), c: this.columns.findIndex((each) => each.name === column) };
    }).sort((one, other) => one.r - other.r || one.c - other.c);
  }

  listEdits() {
    return [...this.edits.values()].map((edit) => [edit.key, edit.column, edit.seen, edit.text]);
  }

  describe() {
    const cells = this.edits.size, rows = new Set([...this.edits.values()].map((edit) => edit.key)).size;
    if (!cells) return "No cell is changed.";
    return `${cells.toLocaleString("en")} ${cells === 1 ? "cell" : "cells"} in ${rows.toLocaleString("en")} ${rows === 1 ? this.noun : this.nouns} changed`;
  }

  #take(step) {
    if (!step.length) return;
    this.done.push(step);
    this.undone = [];
    for (const { r, c, after } of step) this.#set(r, c, after);
    this.onchange(step);
  }

  #move(from, to, side) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    for (const each of step) this.#set(each.r, each.c, each[side]);
    this.onchange(step);
    return step;
  }

  #set(r, c, edit) {
    const name = this.name(r, c);
    const problem = edit ? Cells.check(this.columns[c], edit.text) : "";
    if (edit) this.edits.set(name, edit);
    else this.edits.delete(name);
    if (problem) this.problems.set(name, problem);
    else this.problems.delete(name);
  }
}
