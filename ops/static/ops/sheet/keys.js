// The keys of a sheet and its clipboard.
"use strict";

class SheetKeys {
  constructor(grid, editor, model, paste, actions) {
    Object.assign(this, { grid, editor, model, paste, actions });
    const { inner } = grid;
    inner.addEventListener("keydown", (event) => this.#press(event));
    inner.addEventListener("copy", (event) => this.#copy(event, false));
    inner.addEventListener("cut", (event) => this.#copy(event, true));
    inner.addEventListener("paste", (event) => this.#paste(event));
  }

  #press(event) {
    if (event.isComposing || event.defaultPrevented) return;
    const handled = this.editor.isOpen ? this.#pressOpen(event) : this.#pressClosed(event);
    if (handled) event.preventDefault();
  }

  #pressOpen(event) {
    const { editor } = this;
    if (event.key === "Escape") editor.cancel();
    else if (event.key === "Enter" && event.altKey) editor.insertLineBreak();
    else if (event.key === "Enter") this.#leave(event.shiftKey ? -1 : 1, 0);
    else if (event.key === "Tab") this.#leave(0, event.shiftKey ? -1 : 1);
    else if (editor.replaces && editor.control === editor.field && SheetKeys.STEPS[event.key]) this.#leave(...SheetKeys.STEPS[event.key]);
    else return false;
    return true;
  }

  #leave(rows, columns) {
    this.editor.commit();
    this.#step(rows, columns, false);
  }

  #pressClosed(event) {
    if (event.ctrlKey || event.metaKey) return this.#pressControl(event);
    if (event.altKey) return false;
    if (event.key === "Tab") return this.#tab(event.shiftKey ? -1 : 1);
    if (event.key === " " && event.shiftKey) return this.#selectRow();
    const step = SheetKeys.STEPS[event.key];
    if (step) return this.#step(...step, event.shiftKey);
    const act = this.#keys[event.key];
    if (!act) return false;
    act(event);
    return true;
  }

  #keys = {
    Enter: (event) => (event.shiftKey ? this.#step(-1, 0, false) : this.editor.open()),
    F2: () => this.editor.open(),
    F8: () => this.actions.problem(),
    Escape: () => (this.grid.isRange ? this.grid.select(this.grid.active.r, this.grid.active.c) : this.actions.leave()),
    Delete: () => this.#empty(),
    Backspace: () => this.#empty(),
    Home: (event) => this.grid.select(this.grid.active.r, 0, event.shiftKey),
    End: (event) => this.grid.select(this.grid.active.r, this.model.columns.length - 1, event.shiftKey),
    PageDown: (event) => this.#step(15, 0, event.shiftKey),
    PageUp: (event) => this.#step(-15, 0, event.shiftKey),
  };

  #pressControl(event) {
    const { r, c } = this.grid.active, last = this.model.rows.length - 1, right = this.model.columns.length - 1;
    const to = { ArrowUp: [0, c], ArrowDown: [last, c], ArrowLeft: [r, 0], ArrowRight: [r, right], Home: [0, 0], End: [last, right] }[event.key];
    const key = event.key.toLowerCase();
    if (to) this.grid.select(...to, event.shiftKey);
    else if (key === "z") event.shiftKey ? this.actions.redo() : this.actions.undo();
    else if (key === "y") this.actions.redo();
    else if (key === "d") this.actions.fill();
    else if (key === "a") this.grid.selectRange(0, 0, last, right);
    else if (key === " ") this.grid.selectRange(0, c, last, c);
    else return false;
    return true;
  }

  #step(rows, columns, extend) {
    this.grid.select(this.grid.active.r + rows, this.grid.active.c + columns, extend);
    return true;
  }

  // After the last cell, and before the first, Tab leaves the table.
  #tab(step) {
    const width = this.model.columns.length, { r, c } = this.grid.active, place = r * width + c + step;
    if (place < 0 || place >= width * this.model.rows.length) return false;
    this.grid.select(Math.floor(place / width), place % width);
    return true;
  }

  #selectRow() {
    this.grid.selectRange(this.grid.active.r, 0, this.grid.active.r, this.model.columns.length - 1);
    return true;
  }

  #empty() {
    const cells = [...this.grid.cellsOfRange()].filter(({ c }) => c > 0);
    const full = cells.filter(({ r, c }) => this.model.columns[c].empty === null && this.model.text(r, c));
    this.model.write(cells.filter(({ c }) => this.model.columns[c].empty !== null).map(({ r, c }) => ({ r, c, text: this.model.columns[c].empty })));
    const labels = [...new Set(full.map(({ c }) => this.model.columns[c].label))];
    this.actions.tell(labels.length ? `${labels.join(" and ")} cannot be empty: ${full.length === 1 ? "the cell stays" : "these cells stay"} as ${full.length === 1 ? "it is" : "they are"}.` : "");
  }

  #copy(event, isCut) {
    if (this.editor.isOpen) return;
    const { top, bottom, left, right } = this.grid.range, rows = [];
    for (let r = top; r <= bottom; r += 1) {
      rows.push(Array.from({ length: right - left + 1 }, (_, index) => this.model.text(r, left + index)));
    }
    const locked = [...this.grid.cellsOfRange()].filter(({ r, c }) => c && this.model.isLocked(r, c)).length;
    event.clipboardData.setData("text/plain", Tsv.format(rows));
    event.preventDefault();
    if (isCut) this.#empty();
    else this.actions.tell(locked ? `${locked} of these cells ${locked === 1 ? "is" : "are"} too long for a sheet: only the beginning was copied.` : "");
  }

  #paste(event) {
    if (this.editor.isOpen) return;
    event.preventDefault();
    this.paste.paste(event.clipboardData.getData("text/plain"));
  }

  static STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
}
