// The command palette is unfold's. This selects the first result, and lets Enter wait for one.
"use strict";

const hasResults = () => document.querySelector("#command-results-list li") !== null;

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "command-results" || !hasResults()) return;
  const down = new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true });
  document.getElementById("search-input-command").dispatchEvent(down);
});

document.addEventListener(
  "keydown",
  (event) => {
    if (event.target.id === "search-input-command" && event.key === "Enter" && !hasResults()) {
      event.preventDefault();
      event.stopPropagation();
    }
  },
  true,
);
