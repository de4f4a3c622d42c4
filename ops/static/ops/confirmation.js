// Hides the preview while the form differs from what was previewed, whether a person changed the form or the browser
// restored old values. The server compares both again before it starts a run.
"use strict";
{
  const form = document.getElementById("asking");
  const changed = document.getElementById("changed");
  const previewed = document.getElementById("previewed");

  function isChanged(field) {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return "defaultValue" in field && field.type !== "hidden" && field.value !== field.defaultValue;
  }

  function update() {
    changed.hidden = ![...form.elements].some(isChanged);
    previewed.hidden = !changed.hidden;
  }

  // A second click during the first submission would start a second run.
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => delete form.dataset.sent);

  if (previewed) {
    form.addEventListener("input", update);
    form.addEventListener("change", update);
    window.addEventListener("pageshow", update);
    update();
  }
}
