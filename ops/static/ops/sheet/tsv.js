// Cells as text, as Excel, LibreOffice and Google Sheets put them on the clipboard.
"use strict";

class Tsv {
  // Returns rows of cells. Rows may differ in length.
  static parse(text, separator = "\t") {
    const rows = [];
    let row = [], at = 0;
    while (at < text.length) {
      const cell = Tsv.#readCell(text, at, separator);
      row.push(cell.text);
      at = cell.end;
      if (text[at] === separator) {
        at += 1;
        if (at === text.length) row.push("");
        continue;
      }
      at += text.startsWith("\r\n", at) ? 2 : 1;
      rows.push(row);
      row = [];
    }
    if (row.length) rows.push(row);
    return rows;
  }

  static format(rows) {
    return rows.map((row) => row.map(Tsv.#quote).join("\t")).join("\r\n");
  }

  // A list of texts whose first line names the columns may also come from a CSV file.
  static guessSeparator(text) {
    const line = text.split(/[\r\n]/, 1)[0];
    return ["\t", ";", ","].find((separator) => line.includes(separator)) ?? "\t";
  }

  static #readCell(text, start, separator) {
    const quoted = text[start] === '"' ? Tsv.#readQuoted(text, start, separator) : null;
    if (quoted) return quoted;
    let end = start;
    while (end < text.length && !`${separator}\r\n`.includes(text[end])) end += 1;
    return { text: text.slice(start, end), end };
  }

  // Spreadsheets quote only what needs it: other quotes belong to the text. A CSV file may quote everything.
  static #readQuoted(text, start, separator) {
    let end = start + 1;
    while (end < text.length) {
      const close = text.indexOf('"', end);
      if (close < 0) return null;
      if (text[close + 1] === '"') {
        end = close + 2;
        continue;
      }
      if (close + 1 < text.length && !`${separator}\r\n`.includes(text[close + 1])) return null;
      const inner = text.slice(start + 1, close);
      if (separator === "\t" && !/[\t\r\n]|""/.test(inner)) return null;
      return { text: inner.replaceAll('""', '"'), end: close + 1 };
    }
    return null;
  }

  static #quote(text) {
    return /[\t\r\n]|^"/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
}
