// Edits a JSON object as a tree. The text area stays what is sent, and is written only by an edit.
"use strict";
{
  const KINDS = { text: "Text", number: "Number", true: "Yes", false: "No", null: "Nothing", group: "Group", list: "List" };
  const MAX_LENGTH = 50_000; // A longer document is faster to edit as text.

  function create(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  const createNode = (kind) => kind === "group" || kind === "list" ? { kind, entries: [] } : { kind, text: kind === "number" ? "0" : "" };

  function parseGroup(text) {
    const root = text.length > MAX_LENGTH ? null : opsJson.parse(text);
    if (root?.kind !== "group") throw new SyntaxError("it is no group of keys and values");
    return root;
  }

  class Tree {
    constructor(area) {
      this.area = area;
      this.box = create("div", { className: "ops-tree" });
      this.note = create("p", { className: "ops-hint", role: "status" });
      this.switch = create("button", { type: "button", className: "ops-link" });
      this.switch.addEventListener("click", () => this.toggle());
      const label = document.querySelector(`label[for="${CSS.escape(area.id)}"]`);
      this.name = area.dataset.label = label.textContent.replace("*", "").trim();
      Object.assign(this.box, { role: "group", ariaLabel: this.name });
      // Enter would send the form.
      this.box.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
      });
      area.addEventListener("refill", () => this.showTree(parseGroup(area.value)));
      area.after(this.box, this.switch, this.note);
      this.showText();
      try {
        this.showTree(parseGroup(area.value));
      } catch { /* It stays text, beside the form's error. */ }
    }

    toggle() {
      if (!this.box.hidden) return this.showText();
      try {
        this.showTree(parseGroup(this.area.value));
      } catch (error) {
        this.note.textContent = `This cannot be shown as a tree: ${error.message}.`;
      }
    }

    showText() {
      this.box.hidden = true;
      this.area.classList.remove("ops-replaced");
      this.switch.textContent = "Edit as a tree";
    }

    showTree(root) {
      this.root = root;
      this.box.hidden = false;
      this.note.textContent = "";
      this.area.classList.add("ops-replaced");
      this.switch.textContent = "Edit as text";
      this.box.replaceChildren(this.buildEntries(root, this.name));
    }

    write() {
      this.area.value = opsJson.format(this.root);
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }

    buildEntries(parent, path) {
      const list = create("ul", {}, ...parent.entries.map((entry, index) => this.buildEntry(parent, entry, index, path)));
      const add = create("button", { type: "button", className: "ops-link", textContent: "+ Add", ariaLabel: `Add to ${path}` });
      add.addEventListener("click", () => {
        const entry = { key: parent.kind === "group" ? "" : null, node: createNode("text") };
        parent.entries.push(entry);
        this.write();
        const row = this.buildEntry(parent, entry, parent.entries.length - 1, path);
        list.append(row);
        row.querySelector("input, textarea").focus();
      });
      return create("div", { className: "ops-branch" }, list, add);
    }

    buildEntry(parent, entry, index, path) {
      const name = `${path} ${entry.key ?? index + 1}`;
      const row = create("li", {});
      const line = create("div", { className: "ops-entry-line" });
      if (entry.key !== null) {
        const key = create("input", { type: "text", value: entry.key, className: "ops-tree-key", ariaLabel: `Key in ${path}` });
        key.addEventListener("input", (event) => {
          event.stopPropagation();
          entry.key = key.value;
          this.write();
        });
        line.append(key);
      }
      const kind = create("select", { ariaLabel: `Kind of ${name}` }, ...Object.entries(KINDS).map(([value, text]) => new Option(text, value)));
      kind.value = entry.node.kind;
      kind.addEventListener("change", (event) => {
        event.stopPropagation();
        entry.node = this.convert(entry.node, kind.value);
        this.write();
        const changed = this.buildEntry(parent, entry, parent.entries.indexOf(entry), path);
        row.replaceWith(changed);
        changed.querySelector("select").focus();
      });
      const remove = create("button", { type: "button", textContent: "×", ariaLabel: `Remove ${name}` });
      remove.addEventListener("click", () => {
        parent.entries.splice(parent.entries.indexOf(entry), 1);
        this.write();
        (row.nextElementSibling ?? row.previousElementSibling ?? row.parentElement.parentElement).querySelector("input, textarea, button").focus();
        row.remove();
      });
      line.append(kind, this.buildValue(entry.node, name), remove);
      row.append(line);
      if (entry.node.entries) row.append(this.buildEntries(entry.node, name));
      return row;
    }

    buildValue(node, name) {
      if (node.text === undefined || !["text", "number"].includes(node.kind)) return create("span", { className: "ops-tree-value" });
      const isText = node.kind === "text";
      const field = create(isText ? "textarea" : "input", { value: node.text, className: "ops-tree-value", ariaLabel: name });
      if (isText) field.rows = 1;
      field.addEventListener("input", (event) => {
        event.stopPropagation();
        const isValid = isText || opsJson.isNumber(field.value.trim());
        field.setAttribute("aria-invalid", String(!isValid));
        this.note.textContent = isValid ? "" : `${name} is no number. Write it as 12 or 1.50, or choose Text.`;
        node.text = isText ? field.value : field.value.trim();
        this.write();
      });
      return field;
    }

    convert(node, kind) {
      const isScalar = ["text", "number"].includes(kind) && ["text", "number"].includes(node.kind);
      if (isScalar && (kind === "text" || opsJson.isNumber(node.text.trim()))) return { kind, text: node.text.trim() };
      if (node.entries && kind === "list") return { kind, entries: node.entries.map(({ node: child }) => ({ key: null, node: child })) };
      if (node.entries && kind === "group") return { kind, entries: node.entries.map(({ node: child }, index) => ({ key: String(index + 1), node: child })) };
      return createNode(kind);
    }
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll('textarea[data-editor="json"]').forEach((area) => new Tree(area)));
}
