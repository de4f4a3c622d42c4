// Where pasted cells go: to the selected range, or to the rows that they name by their key.
"use strict";

class SheetPaste {
  constructor(grid, model, api, tell) {
    Object.assign(this, { grid, model, api, tell });
  }

  async paste(text) {
    const matrix = Tsv.parse(text);
    if (!matrix.length) return this.tell("The clipboard has no text.");
    const names = this.#readHeader(matrix[0]);
    if (names) return this.#pasteAndTell(names, matrix.slice(1));
    const isKeyed = this.grid.range.left === 0 && matrix.some((row) => row.length > 1);
    if (isKeyed) return this.#pasteAndTell(this.model.columns.map((column) => column.name), matrix);
    return this.#pasteRange(matrix);
  }

  async #pasteAndTell(names, rows) {
    const result = await this.pasteRows(names, rows);
    return this.tell(result.problem || result.text, Boolean(result.problem || result.unknown.length));
  }

  // Pastes text whose first line names the columns. Returns { problem, text, unknown rows as text }.
  async pasteNamed(text) {
    const separator = Tsv.guessSeparator(text), matrix = Tsv.parse(text.replace(/^\ufeff/, ""), separator);
    const names = matrix.length ? matrix[0].map((name) => this.#findColumn(name)) : [];
    const key = this.model.columns[0];
    if (!names.includes(key.name)) return { problem: `The first line names the columns, and one is ${key.name}. It has: ${Cells.shorten((matrix[0] ?? []).join(", ")) || "nothing"}.`, unknown: [] };
    if (matrix.length < 2) return { problem: "There are no rows below the names of the columns.", unknown: [] };
    const result = await this.pasteRows(names, matrix.slice(1));
    const ignored = matrix[0].filter((name, index) => !names[index]);
    if (ignored.length) result.text += ` Left out: ${ignored.join(", ")}, which ${ignored.length === 1 ? "is no column" : "are no columns"} of this sheet.`;
    const left = result.problem ? [] : [...result.unknown, ...result.stuck];
    result.left = left.length ? Tsv.format([matrix[0], ...left]) : "";
    return result;
  }

  // Writes rows to the rows of the sheet that they name, and fetches those that are not in the sheet.
  async pasteRows(names, rows) {
    const at = names.indexOf(this.model.columns[0].name);
    const ids = rows.map((row) => (row[at] ?? "").trim());
    const missing = [...new Set(ids.filter((id) => id && !this.model.byId.has(id)))];
    if (missing.length) {
      const answer = await this.api.fetchRows({ ids: missing });
      if (answer.problem) return { problem: answer.problem, unknown: [], text: "" };
      this.addRows(answer.rows);
    }
    const changes = [], unknown = rows.filter((row, index) => !this.model.byId.has(ids[index]));
    const found = rows.map((row, index) => [this.model.byId.get(ids[index]), row]).filter(([r]) => r !== undefined);
    for (const [r, row] of found) this.#readRow(changes, r, names, row);
    const locked = this.model.write(changes);
    if (found.length) this.grid.select(found[0][0], this.grid.active.c || 1);
    const stuck = locked ? found.filter(([r, row]) => this.#isStuck(r, names, row)).map(([, row]) => row) : [];
    return { unknown, stuck, text: this.#describe(found, ids, unknown, at, locked) };
  }

  addRows(rows) {
    this.model.addRows(rows);
    this.grid.refresh();
  }

  // Whether a cell of the row is too long for the sheet, and so has kept its value.
  #isStuck(r, names, row) {
    return names.some((name, index) => {
      const c = this.model.columns.findIndex((column) => column.name === name);
      return c > 0 && row[index] !== undefined && this.model.isLocked(r, c);
    });
  }

  #readRow(changes, r, names, row) {
    names.forEach((name, index) => {
      const c = this.model.columns.findIndex((column) => column.name === name);
      if (c > 0 && row[index] !== undefined) changes.push({ r, c, text: row[index] });
    });
  }

  #describe(found, ids, unknown, at, locked) {
    const { noun, nouns } = this.model, count = new Set(found.map(([r]) => r)).size;
    const parts = [`Pasted into ${count.toLocaleString("en")} ${count === 1 ? noun : nouns}.`];
    if (count < found.length) parts.push("Some are given twice: the last row counts.");
    if (unknown.length) parts.push(`No ${noun} has ${unknown.length === 1 ? "this key" : "these keys"}: ${SheetPaste.#list(unknown.map((row) => row[at] || "(empty)"))}.`);
    return [...parts, ...this.#describeLocked(locked)].join(" ");
  }

  #describeLocked(locked) {
    return locked ? [`${locked} ${locked === 1 ? "cell is" : "cells are"} too long for a sheet, and stayed: edit ${locked === 1 ? "it" : "them"} on the page of the ${this.model.noun}.`] : [];
  }

  // The names of the columns if this is a line of names, the key among them.
  #readHeader(line) {
    const names = line.map((name) => this.#findColumn(name));
    return names.includes(this.model.columns[0].name) && names.every(Boolean) ? names : null;
  }

  #findColumn(text) {
    const fold = (name) => name.trim().toLowerCase().replace(/[\s_]/g, "");
    return this.model.columns.find((column) => fold(column.name) === fold(text) || fold(column.label) === fold(text))?.name;
  }

  #pasteRange(matrix) {
    const { top, left, bottom, right } = this.grid.range;
    const rows = matrix.length, width = Math.max(...matrix.map((row) => row.length));
    const isTiled = (bottom - top + 1) % rows === 0 && (right - left + 1) % width === 0;
    const height = isTiled ? bottom - top + 1 : rows, breadth = isTiled ? right - left + 1 : width;
    const last = Math.min(top + height, this.model.rows.length), end = Math.min(left + breadth, this.model.columns.length);
    const changes = [];
    for (let r = top; r < last; r += 1) {
      const row = matrix[(r - top) % rows];
      for (let c = left; c < end; c += 1) {
        const text = row[(c - left) % width];
        if (text !== undefined) changes.push({ r, c, text });
      }
    }
    const locked = changes.filter(({ c }) => c > 0).length ? this.model.write(changes.filter(({ c }) => c > 0)) : 0;
    this.grid.selectRange(top, left, last - 1, end - 1);
    this.tell(this.#describeRest(matrix, last - top, end - left, width, left, locked), true);
  }

  // What does not fit below the last row, or beside the last column.
  #describeRest(matrix, height, breadth, width, left, locked) {
    const parts = [], below = matrix.slice(height);
    if (left === 0) parts.push(`${this.model.columns[0].label} is not edited here.`);
    if (below.length) parts.push(`${below.length.toLocaleString("en")} of ${matrix.length.toLocaleString("en")} rows do not fit below the last row: ${SheetPaste.#list(below.map((row) => row.join(" | ")))}. Use “Paste rows …” for rows that name their ${this.model.noun}.`);
    if (width > breadth) parts.push(`${width - breadth} of ${width} columns do not fit beside the last one.`);
    return [...parts, ...this.#describeLocked(locked)].join(" ");
  }

  static #list(texts) {
    const shown = texts.slice(0, 5).map((text) => Cells.shorten(text, 40)).join("; ");
    return texts.length > 5 ? `${shown}; and ${(texts.length - 5).toLocaleString("en")} more` : shown;
  }
}
