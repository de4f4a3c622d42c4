// Edits a list as chips. The text area below, one item a line, stays what is sent: it is written only by an edit, so
// that an unedited list comes back as it was.
"use strict";
{
  // What Python's str.strip removes, and "\s" of JavaScript does not quite.
  const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
  const ENDS = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");
  const strip = (text) => text.replace(ENDS, "");

  function parse(text) {
    return text.split(/\r\n|\r|\n/).map(strip).filter(Boolean).map((line) => line.startsWith('"') ? JSON.parse(line) : line);
  }

  function format(item) {
    const isPlain = item !== "" && strip(item) === item && !item.startsWith('"') && !/[\r\n]/.test(item);
    return isPlain ? item : JSON.stringify(item);
  }

  function create(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  let isPressed = false;
  addEventListener("pointerdown", () => { isPressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { isPressed = false; }, true);

  function enhance(area) {
    let items;
    try {
      items = parse(area.value);
    } catch {
      return; // What cannot be read stays text, beside its error.
    }
    const label = document.querySelector(`label[for="${CSS.escape(area.id)}"]`);
    const name = area.dataset.label = label.textContent.replace("*", "").trim();
    const list = create("ul", { className: "ops-item-list" });
    const input = create("input", { type: "text", id: `${area.id}_new`, placeholder: "Add …", autocomplete: "off" });
    const status = create("p", { className: "ops-hint", role: "status" });
    const hint = area.parentElement.querySelector(".ops-hint");
    label.htmlFor = input.id;
    hint.textContent = "Type and press Enter. A pasted list is split at commas and line breaks.";

    function show() {
      list.replaceChildren(...items.map((item, index) => {
        const shown = item === "" ? "(empty)" : item.replace(/\r\n|\r|\n/g, "↵");
        const remove = create("button", { type: "button", textContent: "×", ariaLabel: `Remove ${shown}` });
        remove.addEventListener("click", () => removeItem(index));
        remove.addEventListener("keydown", (event) => moveBy(event, index));
        return create("li", { className: "ops-item" }, create("span", { textContent: shown }), remove);
      }));
    }

    function write(message) {
      area.value = items.map(format).join("\n");
      area.dispatchEvent(new Event("input", { bubbles: true }));
      show();
      status.textContent = message;
    }

    function add(texts) {
      const added = texts.map(strip).filter((text, index, all) => text && !items.includes(text) && all.indexOf(text) === index);
      const known = texts.map(strip).filter((text) => items.includes(text));
      if (!added.length) {
        status.textContent = known.length ? `${name} has “${known[0]}” already.` : "";
        return;
      }
      items.push(...added);
      write(`Added ${added.join(", ")}.`);
    }

    function commit() {
      add([input.value]);
      input.value = "";
    }

    function focus(index) {
      const buttons = list.querySelectorAll("button");
      (buttons[Math.max(0, index)] ?? input).focus();
    }

    function removeItem(index) {
      const [removed] = items.splice(index, 1);
      write(`Removed ${removed}.`);
      focus(index);
    }

    function moveBy(event, index) {
      if (event.key === "Backspace" || event.key === "Delete") removeItem(index);
      else if (event.key === "ArrowLeft") focus(index - 1);
      else if (event.key === "ArrowRight") focus(index + 1);
      else return;
      event.preventDefault();
    }

    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        commit();
      } else if (["Backspace", "ArrowLeft"].includes(event.key) && input.value === "" && items.length) {
        event.preventDefault();
        focus(items.length - 1);
      }
    });
    input.addEventListener("input", (event) => event.stopPropagation());
    // A chip moves what is below it, so that a click would miss a button that moves between press and release.
    input.addEventListener("blur", () => isPressed ? addEventListener("click", commit, { capture: true, once: true }) : commit());
    input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!/[,\r\n]/.test(text)) return;
      event.preventDefault();
      add(text.split(/,|\r\n|\r|\n/));
    });
    area.addEventListener("refill", () => {
      items = parse(area.value);
      show();
    });
    area.classList.add("ops-replaced");
    area.after(create("div", { className: "ops-items" }, list, input), status);
    show();
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll('textarea[data-editor="list"]').forEach(enhance));
}
