// Takes the preview away while the form shows anything else than what was previewed, whether a person changed it or
// the browser filled it in again. What starts is settled by the site: it compares both.
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

  function look() {
    changed.hidden = ![...form.elements].some(isChanged);
    previewed.hidden = !changed.hidden;
  }

  // A second click while the first is under way would ask for the run twice.
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => delete form.dataset.sent);

  if (previewed) {
    form.addEventListener("input", look);
    form.addEventListener("change", look);
    window.addEventListener("pageshow", look);
    look();
  }
}
