// What a cell of a column may hold, as far as the page can tell. The server looks again.
"use strict";

class Cells {
  // Returns the text as it is meant: without blanks around one line, a choice as it is spelled.
  static clean(column, text) {
    if (column.choices.length) {
      const folded = text.trim().toLowerCase();
      return column.choices.find((choice) => choice.toLowerCase() === folded) ?? text.trim();
    }
    if (column.kind === "line") return text.trim();
    if (column.kind === "json" && !text.trim() && column.empty !== null) return column.empty;
    return text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  }

  // Returns why the column cannot hold the text; "" if it can.
  static check(column, text) {
    if (!text.trim()) return column.empty === null ? `${column.label} cannot be empty.` : "";
    if (column.choices.length && !column.choices.includes(text)) return `“${Cells.shorten(text)}” is not one of: ${column.choices.join(", ")}.`;
    if (column.kind === "line" && /[\r\n]/.test(text)) return `${column.label} is one line: this has a line break.`;
    if (column.kind === "json") return Cells.#checkJson(column, text);
    const length = column.kind === "line" ? [...text].length : 0;
    if (column.max_length && length > column.max_length) return `${column.label} has at most ${column.max_length} characters: these are ${length}.`;
    return "";
  }

  static shorten(text, length = 60) {
    return text.length > length ? `${text.slice(0, length)}…` : text;
  }

  static #checkJson(column, text) {
    try {
      JSON.parse(text);
      return "";
    } catch (error) {
      return `${column.label} is JSON, for example {"key": "value"}: ${error.message}`;
    }
  }
}
