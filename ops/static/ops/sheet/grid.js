// The table of a sheet: its cells, which one is active, and the selected range. One listener for all cells.
"use strict";

class SheetGrid {
  // Fixed, in rem, so that no cell's text moves the others.
  static WIDTHS = { key: 9.5, line: 14, choice: 8, list: 13, text: 24, json: 18 };
  static DOUBLE_CLICK = 500; // ms

  constructor(box, model) {
    this.model = model;
    this.active = { r: 0, c: 1 };
    this.anchor = { r: 0, c: 1 };
    this.onmove = () => {};
    this.onopen = () => {};
    this.inner = document.createElement("div");
    this.inner.className = "ops-sheet-inner";
    this.table = document.createElement("table");
    this.table.className = "ops-sheet";
    this.table.setAttribute("role", "grid");
    this.table.setAttribute("aria-label", model.nouns);
    this.table.setAttribute("aria-multiselectable", "true");
    this.overlay = document.createElement("div");
    this.overlay.className = "ops-sheet-range";
    this.overlay.hidden = true;
    this.#buildHead();
    this.inner.append(this.table, this.overlay);
    box.append(this.inner);
    this.window = new SheetWindow(box, this.table, (r) => this.#buildRow(r), () => this.model.rows.length);
    this.refresh();
    this.#listen();
  }

  // Shows the rows of the model as it is now.
  refresh() {
    this.table.setAttribute("aria-rowcount", this.model.rows.length + 1);
    this.window.refresh();
  }

  // The element of a cell; undefined while its row is far from what is shown.
  cell(r, c) {
    return this.window.row(r)?.cells[c];
  }

  get range() {
    const { active, anchor } = this;
    return {
      top: Math.min(active.r, anchor.r), bottom: Math.max(active.r, anchor.r),
      left: Math.min(active.c, anchor.c), right: Math.max(active.c, anchor.c),
    };
  }

  // Calls with each cell of the range, row by row.
  *cellsOfRange() {
    const { top, bottom, left, right } = this.range;
    for (let r = top; r <= bottom; r += 1) for (let c = left; c <= right; c += 1) yield { r, c };
  }

  get isRange() {
    return this.active.r !== this.anchor.r || this.active.c !== this.anchor.c;
  }

  // Makes the cell the active one; with `extend` it ends the range that the anchor begins.
  select(r, c, extend = false) {
    if (!this.model.rows.length) return;
    const row = Math.max(0, Math.min(r, this.model.rows.length - 1));
    const column = Math.max(0, Math.min(c, this.model.columns.length - 1));
    this.table.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    this.active = { r: row, c: column };
    if (!extend) this.anchor = this.active;
    this.window.reach(row);
    const cell = this.cell(row, column);
    cell.setAttribute("aria-selected", "true");
    this.#drawRange();
    this.onmove(cell);
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  selectRange(top, left, bottom, right) {
    this.select(top, left);
    this.anchor = { r: bottom, c: right };
    this.#drawRange();
  }

  paint(cells) {
    for (const { r, c } of cells) {
      const cell = this.cell(r, c);
      if (cell) this.#paint(cell, r, c);
    }
    this.#drawRange();
  }

  #drawRange() {
    this.overlay.hidden = !this.isRange;
    if (!this.isRange) return;
    const { top, bottom, left, right } = this.range, height = SheetWindow.ROW;
    const widths = [...this.table.tHead.rows[0].cells].map((head) => head.offsetWidth);
    const sum = (from, to) => widths.slice(from, to).reduce((total, width) => total + width, 0);
    Object.assign(this.overlay.style, {
      top: `${this.table.tHead.offsetHeight + top * height}px`, left: `${sum(0, left)}px`,
      width: `${sum(left, right + 1)}px`, height: `${(bottom - top + 1) * height}px`,
    });
  }

  #buildHead() {
    const columns = document.createElement("colgroup");
    const row = document.createElement("tr");
    let width = 0;
    this.model.columns.forEach((column, index) => {
      const col = document.createElement("col"), rem = SheetGrid.WIDTHS[column.choices.length ? "choice" : column.kind];
      col.style.width = `${rem}rem`;
      width += rem;
      columns.append(col);
      const head = document.createElement("th");
      head.scope = "col";
      head.dataset.column = index;
      head.setAttribute("role", "columnheader");
      head.textContent = column.label;
      row.append(head);
    });
    this.table.style.width = `${width}rem`;
    this.table.append(columns);
    this.table.createTHead().append(row);
  }

  #buildRow(r) {
    const row = document.createElement("tr");
    row.setAttribute("aria-rowindex", r + 2);
    this.model.columns.forEach((column, c) => {
      const cell = document.createElement(c ? "td" : "th");
      if (!c) cell.scope = "row";
      cell.setAttribute("role", c ? "gridcell" : "rowheader");
      cell.append("");
      this.#paint(cell, r, c);
      if (r === this.active.r && c === this.active.c) cell.setAttribute("aria-selected", "true");
      row.append(cell);
    });
    return row;
  }

  #paint(cell, r, c) {
    const problem = c ? this.model.problem(r, c) : "", isEdited = c > 0 && this.model.edit(r, c) !== undefined;
    cell.firstChild.data = this.model.text(r, c).slice(0, 300).replace(/\s*\n\s*/g, " ↵ ");
    cell.classList.toggle("ops-edited", isEdited && !problem);
    cell.classList.toggle("ops-refused", problem !== "");
    if (c && this.model.isLocked(r, c)) cell.classList.add("ops-locked");
    if (problem) cell.setAttribute("aria-invalid", "true");
    else cell.removeAttribute("aria-invalid");
    if (problem) cell.title = problem;
    else cell.removeAttribute("title");
  }

  #listen() {
    let isDragging = false, isSecond = false, clicked = null, clickedAt = -Infinity;
    this.table.addEventListener("pointerdown", (event) => {
      const head = event.target.closest("thead th");
      if (head) return this.#selectColumn(event, Number(head.dataset.column));
      const cell = event.target.closest("tbody :is(td, th)");
      if (!cell || event.button !== 0 || event.target.matches("textarea.ops-is-open, select")) return undefined;
      isDragging = event.pointerType === "mouse";
      event.preventDefault(); // the editor keeps the focus
      this.select(this.window.number(cell.parentNode), cell.cellIndex, event.shiftKey);
      // The editor has come below the pointer since the first click, so no browser calls it a double click.
      isSecond = cell === clicked && event.timeStamp - clickedAt < SheetGrid.DOUBLE_CLICK && !event.shiftKey;
      [clicked, clickedAt] = [cell, event.timeStamp];
      return undefined;
    });
    this.table.addEventListener("pointerover", (event) => {
      const cell = isDragging && event.target.closest("tbody :is(td, th)");
      if (cell && cell !== this.cell(this.active.r, this.active.c)) this.select(this.window.number(cell.parentNode), cell.cellIndex, true);
    });
    addEventListener("pointerup", () => {
      if (isSecond && !this.isRange) this.onopen();
      isDragging = isSecond = false;
    });
  }

  #selectColumn(event, c) {
    event.preventDefault();
    if (this.model.rows.length) {
      this.select(0, c);
      this.anchor = { r: this.model.rows.length - 1, c };
      this.#drawRange();
    }
  }
}
