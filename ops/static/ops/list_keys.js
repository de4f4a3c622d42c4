// Keys of a list: through its rows, to open and to tick them. "/" is unfold's.
"use strict";

const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

function getRows() {
  return [...document.querySelectorAll("#result_list tr.data-row")].filter((row) => row.querySelector("a[href]"));
}

function focusRow(row) {
  row.querySelector("a[href]").focus({ preventScroll: true });
  row.scrollIntoView({ block: "center" });
}

// How many rows one line of the grid has; 1 in the table.
function countColumns(rows) {
  const top = rows[0].getBoundingClientRect().top;
  const count = rows.findIndex((row) => row.getBoundingClientRect().top !== top);
  return count < 0 ? rows.length : count;
}

function getStep(key, rows) {
  const isGrid = document.querySelector("#result_list.ops-grid") !== null;
  if (isGrid && key === "ArrowRight") return 1;
  if (isGrid && key === "ArrowLeft") return -1;
  const step = STEPS[key] || 0;
  return isGrid && key.startsWith("Arrow") ? step * countColumns(rows) : step;
}

function moveBy(step, rows, current) {
  const index = rows.indexOf(current);
  const next = rows[index < 0 ? (step > 0 ? 0 : rows.length - 1) : index + step];
  if (next) focusRow(next);
}

function isTyping(target) {
  return target.isContentEditable || target.closest("input:not([type=checkbox]), textarea, select, summary, dialog, details[open], [role=dialog]") !== null;
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(target)) return;
  if (event.key === "?") {
    document.getElementById("keys")?.showModal();
    event.preventDefault();
    return;
  }
  const rows = getRows();
  if (rows.length === 0) return;
  const row = target.closest("#result_list tr.data-row");
  const step = getStep(event.key, rows);
  if (step) {
    moveBy(step, rows, row);
    event.preventDefault();
  } else if (event.key === " " && row && target.matches("a")) {
    row.querySelector("input.action-select")?.click();
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#show-keys")) document.getElementById("keys").showModal();
  for (const menu of document.querySelectorAll(".ops-menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.(".ops-menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
