// Fills in the value that somebody else saved meanwhile.
"use strict";
addEventListener("click", (event) => {
  const button = event.target.closest("[data-take]");
  if (!button) return;
  const field = document.getElementById(button.dataset.take);
  if (field.type === "checkbox") field.checked = button.dataset.value === "True";
  else field.value = button.dataset.value;
  field.dispatchEvent(new Event("refill"));
  field.dispatchEvent(new Event("input", { bubbles: true }));
  button.textContent = "Taken";
  button.disabled = true;
});
