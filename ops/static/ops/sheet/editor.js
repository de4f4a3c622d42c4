// What a person types into: a text field over the active cell, which always has the focus, so that every
// keyboard, accent and input method works; or a list of choices.
"use strict";

class SheetEditor {
  constructor(grid, model) {
    this.grid = grid;
    this.model = model;
    this.isOpen = false;
    this.replaces = false;
    this.isMoving = false;
    this.field = document.createElement("textarea");
    this.field.className = "ops-sheet-editor";
    this.field.rows = 1;
    this.field.spellcheck = false;
    this.field.autocomplete = "off";
    this.choice = document.createElement("select");
    this.choice.className = "ops-sheet-editor ops-is-open";
    this.field.addEventListener("input", () => this.#typed());
    this.choice.addEventListener("focusout", () => this.#left());
    this.field.addEventListener("focusout", () => this.#left());
    grid.onopen = () => this.open();
    grid.window.onleave = (row) => this.#park(row);
    grid.window.onenter = () => this.#comeBack();
  }

  get control() {
    return this.isOpen && this.choice.isConnected ? this.choice : this.field;
  }

  // Puts the closed field over the cell, and takes the focus there.
  place(cell) {
    this.commit();
    const { r, c } = this.grid.active;
    this.isMoving = true;
    this.field.value = "";
    this.field.readOnly = this.model.isLocked(r, c);
    this.field.setAttribute("aria-label", this.#describe(r, c));
    cell.append(this.field);
    this.field.focus({ preventScroll: true });
    this.isMoving = false;
  }

  // The row of the active cell is scrolled away: the field keeps the focus, and comes back with the row.
  #park(row) {
    if (!row.contains(this.control)) return;
    const hasFocus = row.contains(document.activeElement);
    this.commit();
    this.isMoving = true;
    this.grid.inner.append(this.field);
    if (hasFocus) this.field.focus({ preventScroll: true });
    this.isMoving = false;
  }

  #comeBack() {
    const cell = this.field.parentNode === this.grid.inner && this.grid.cell(this.grid.active.r, this.grid.active.c);
    if (!cell) return;
    const hasFocus = document.activeElement === this.field;
    this.isMoving = true;
    cell.append(this.field);
    if (hasFocus) this.field.focus({ preventScroll: true });
    this.isMoving = false;
  }

  // Opens the cell with its text, or with what was typed in its place.
  open(typed = null) {
    const { r, c } = this.grid.active;
    if (this.isOpen || this.model.isLocked(r, c)) return;
    this.isOpen = true;
    this.replaces = typed !== null;
    this.grid.cell(r, c).classList.add("ops-is-editing");
    if (this.model.columns[c].choices.length) this.#openChoice(r, c, typed);
    else this.#openField(r, c, typed);
  }

  commit() {
    if (!this.isOpen) return;
    const text = this.control.value;
    const isSame = this.control === this.field && text === this.initial && !this.replaces;
    const { r, c } = this.openedAt;
    this.#close();
    if (!isSame) this.model.write([{ r, c, text }]);
  }

  cancel() {
    this.#close();
    this.place(this.grid.cell(this.grid.active.r, this.grid.active.c));
  }

  insertLineBreak() {
    if (this.control !== this.field) return;
    this.field.setRangeText("\n", this.field.selectionStart, this.field.selectionEnd, "end");
    this.#fit();
  }

  #openField(r, c, typed) {
    this.openedAt = { r, c };
    this.field.classList.add("ops-is-open");
    if (typed === null) {
      this.field.value = this.model.text(r, c);
      this.field.setSelectionRange(this.field.value.length, this.field.value.length);
    }
    this.initial = typed === null ? this.field.value : null; // as the browser has it: with line feeds
    this.#fit();
  }

  #openChoice(r, c, typed) {
    const column = this.model.columns[c], text = this.model.text(r, c);
    this.openedAt = { r, c };
    const choices = column.choices.includes(text) || !text ? column.choices : [text, ...column.choices];
    this.choice.replaceChildren(...choices.map((each) => new Option(each, each)));
    const begun = typed && choices.find((each) => each.toLowerCase().startsWith(typed.trim().toLowerCase()));
    this.choice.value = begun || text;
    this.choice.setAttribute("aria-label", this.#describe(r, c));
    this.isMoving = true;
    this.field.replaceWith(this.choice);
    this.field.value = "";
    this.choice.focus({ preventScroll: true });
    this.isMoving = false;
  }

  #close() {
    if (!this.isOpen) return;
    const cell = this.grid.cell(this.openedAt.r, this.openedAt.c);
    this.isMoving = true;
    this.isOpen = false;
    cell?.classList.remove("ops-is-editing");
    this.field.classList.remove("ops-is-open");
    this.field.removeAttribute("style");
    this.field.value = "";
    if (this.choice.isConnected) this.choice.replaceWith(this.field);
    this.isMoving = false;
  }

  #typed() {
    if (!this.isOpen && this.field.value) this.open(this.field.value);
    else if (this.isOpen) this.#fit();
  }

  // The focus goes elsewhere, not to another cell: what was typed is kept.
  #left() {
    if (!this.isMoving) this.commit();
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight + 2, 240)}px`;
  }

  #describe(r, c) {
    return `${this.model.columns[c].label} of ${this.model.rows[r].id}: ${Cells.shorten(this.model.text(r, c), 200) || "empty"}`;
  }
}
