// The rows of a table that are near what is shown; the others are the height of two rows without cells.
"use strict";

class SheetWindow {
  static ROW = 34; // px, as in the style sheet
  static MARGIN = 25; // rows kept above and below what is shown

  constructor(box, table, build, count) {
    Object.assign(this, { box, build, count, first: 0, last: 0 });
    this.onleave = () => {}; // before a row is removed
    this.onenter = () => {}; // after rows were added
    this.above = table.createTBody().insertRow();
    this.body = table.createTBody();
    this.below = table.createTBody().insertRow();
    for (const spacer of [this.above, this.below]) spacer.parentNode.setAttribute("role", "presentation");
    for (const spacer of [this.above, this.below]) spacer.setAttribute("role", "presentation");
    box.addEventListener("scroll", () => this.refresh(), { passive: true });
    addEventListener("resize", () => this.refresh());
  }

  row(r) {
    return r >= this.first && r < this.last ? this.body.rows[r - this.first] : undefined;
  }

  number(row) {
    return this.first + row.sectionRowIndex;
  }

  // Scrolls to a row that is far away, so that it has cells.
  reach(r) {
    if (this.row(r)) return;
    this.box.scrollTop = r * SheetWindow.ROW - this.box.clientHeight / 2;
    this.refresh();
    if (!this.row(r)) this.#show(r - SheetWindow.MARGIN, r + SheetWindow.MARGIN);
  }

  refresh() {
    const { ROW, MARGIN } = SheetWindow, top = Math.floor(this.box.scrollTop / ROW);
    const bottom = top + Math.ceil((this.box.clientHeight || innerHeight) / ROW);
    const isNear = this.first <= Math.max(0, top - 5) && this.last >= Math.min(this.count(), bottom + 5);
    if (!isNear || !this.last) this.#show(top - MARGIN, bottom + MARGIN);
    this.#space();
  }

  #show(from, to) {
    const first = Math.max(0, from), last = Math.min(this.count(), to);
    const isApart = first >= this.last || last <= this.first;
    if (isApart) this.#drop(this.first, this.last);
    else {
      this.#drop(this.first, first);
      this.#drop(last, this.last);
    }
    const kept = isApart ? [first, first] : [Math.max(first, this.first), Math.min(last, this.last)];
    this.body.prepend(this.#buildRows(first, kept[0]));
    this.body.append(this.#buildRows(kept[1], last));
    [this.first, this.last] = [first, last];
    this.#space();
    this.onenter();
  }

  #drop(from, to) {
    const rows = [];
    for (let r = from; r < to; r += 1) rows.push(this.body.rows[r - this.first]);
    for (const row of rows) {
      this.onleave(row);
      row.remove();
    }
  }

  #buildRows(from, to) {
    const rows = document.createDocumentFragment();
    for (let r = from; r < to; r += 1) rows.append(this.build(r));
    return rows;
  }

  #space() {
    this.above.style.height = `${this.first * SheetWindow.ROW}px`;
    this.below.style.height = `${Math.max(0, this.count() - this.last) * SheetWindow.ROW}px`;
    for (const spacer of [this.above, this.below]) spacer.hidden = spacer.style.height === "0px";
  }
}
