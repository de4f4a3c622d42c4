// Says which fields of a form are not saved yet, and warns before they are left.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("#content-main > form");
  const note = document.getElementById("unsaved");
  if (!form || !note) return;
  // A form that comes back with errors holds what was typed before, which is not saved either.
  const isRefused = Boolean(form.querySelector(".errorlist, .errornote"));
  let isSent = false;

  function isSelectChanged(field) {
    const options = [...field.options];
    const isFirstDefault = !field.multiple && !options.some((option) => option.defaultSelected);
    return options.some((option, index) => option.selected !== (isFirstDefault ? index === 0 : option.defaultSelected));
  }

  function isChanged(field) {
    if (!field.name || ["hidden", "submit", "button"].includes(field.type)) return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.type === "file") return field.value !== "";
    if (field.options) return isSelectChanged(field);
    return field.value !== field.defaultValue;
  }

  function listChanged() {
    const labels = [...form.elements].filter(isChanged).map((field) => {
      const label = form.querySelector(`label[for="${CSS.escape(field.id)}"]`);
      return field.dataset.label ?? label?.textContent.replace("*", "").trim() ?? field.name;
    });
    return [...new Set(labels)];
  }

  function update() {
    const labels = listChanged();
    note.textContent = labels.length ? `Not saved yet: ${labels.join(", ")}` : isRefused ? "Not saved yet" : "";
  }

  form.addEventListener("input", update);
  form.addEventListener("change", update);
  form.addEventListener("submit", () => { isSent = true; });
  addEventListener("pageshow", () => { isSent = false; update(); });
  addEventListener("beforeunload", (event) => {
    if (!isSent && (isRefused || listChanged().length)) event.preventDefault();
  });
  update();
});
