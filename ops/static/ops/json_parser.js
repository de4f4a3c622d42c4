// Parses JSON into nodes that keep the text of each number, since a number of JavaScript has 17 digits; and back.
"use strict";
const opsJson = (() => {
  const SPACE = /[ \t\n\r]*/y;
  const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
  const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
  const WORD = /true|false|null/y;
  const MAX_DEPTH = 40;

  // Returns {kind, text} for "text", "number", "true", "false" and "null"; {kind, entries: [{key, node}]} for "group" and
  // "list", whose keys are null. Throws SyntaxError.
  function parse(text) {
    let position = 0;

    function match(pattern) {
      pattern.lastIndex = position;
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) position += found.length;
      return found;
    }

    function take(character) {
      match(SPACE);
      if (text[position] !== character) return false;
      position += 1;
      return true;
    }

    function expect(found, what) {
      if (found === undefined || found === false) throw new SyntaxError(`${what} is missing at character ${position + 1}`);
      return found;
    }

    function parseEntries(close, isGroup, depth) {
      const entries = [];
      if (take(close)) return entries;
      do {
        match(SPACE);
        const key = isGroup ? JSON.parse(expect(match(STRING), "a key in quotes")) : null;
        if (isGroup) expect(take(":"), "a colon");
        entries.push({ key, node: parseNode(depth + 1) });
      } while (take(","));
      expect(take(close), `“${close}”`);
      return entries;
    }

    function parseNode(depth) {
      if (depth > MAX_DEPTH) throw new SyntaxError("it is nested too deeply");
      if (take("{")) return { kind: "group", entries: parseEntries("}", true, depth) };
      if (take("[")) return { kind: "list", entries: parseEntries("]", false, depth) };
      const string = match(STRING);
      if (string !== undefined) return { kind: "text", text: JSON.parse(string) };
      const number = match(NUMBER);
      if (number !== undefined) return { kind: "number", text: number };
      return { kind: expect(match(WORD), "a value"), text: "" };
    }

    const root = parseNode(0);
    match(SPACE);
    if (position < text.length) throw new SyntaxError(`something follows the end at character ${position + 1}`);
    return root;
  }

  // As jsonb_pretty of PostgreSQL: a value that is changed back has its old text.
  function format(node, indent = "") {
    if (node.kind === "text") return JSON.stringify(node.text);
    if (node.kind === "number") return node.text;
    if (!node.entries) return node.kind;
    const inner = `${indent}    `;
    const lines = node.entries.map(({ key, node: child }) => {
      return inner + (key === null ? "" : `${JSON.stringify(key)}: `) + format(child, inner);
    });
    const [open, close] = node.kind === "group" ? "{}" : "[]";
    return `${open}\n${lines.join(",\n")}${lines.length ? "\n" : ""}${indent}${close}`;
  }

  const isNumber = (text) => new RegExp(`^(?:${NUMBER.source})$`).test(text);
  return { parse, format, isNumber };
})();
