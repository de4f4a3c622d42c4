// The page of a sheet: its buttons, what it says, what is posted, and what is kept.
"use strict";

class SheetApi {
  static SIGNED_OUT = "You are signed out. Sign in again in another tab, then try again here: your edits are kept.";

  constructor(data) {
    this.data = data;
    this.token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  }

  async fetchRows(asked) {
    const answer = await this.post(this.data.rows_url, asked);
    return answer.status === 200 ? { rows: answer.body.rows } : { problem: answer.problem };
  }

  // Returns { status, body, problem }; the problem says what happened, in words.
  async post(url, document) {
    const body = JSON.stringify(document);
    let response;
    try {
      response = await this.#send(url, body);
      if (response.status === 403 && await this.#renewToken()) response = await this.#send(url, body);
      if (this.isSignedOut) return { status: 0, body: {}, problem: SheetApi.SIGNED_OUT };
    } catch {
      return { status: 0, body: {}, problem: "The site cannot be reached. Your edits are kept in this browser: try again." };
    }
    if (response.type === "opaqueredirect") return { status: 0, body: {}, problem: SheetApi.SIGNED_OUT };
    const answer = await response.json().catch(() => ({}));
    return { status: response.status, body: answer, problem: answer.message ?? SheetApi.#explain(response.status) };
  }

  #send(url, body) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.token, Accept: "application/json" };
    return fetch(url, { method: "POST", headers, body, redirect: "manual" });
  }

  // Whoever signed in again in another tab has another token. Returns whether there is one.
  async #renewToken() {
    const response = await fetch(location.href), page = new DOMParser().parseFromString(await response.text(), "text/html");
    this.isSignedOut = response.redirected;
    const token = page.getElementById("content-main")?.querySelector("[name=csrfmiddlewaretoken]")?.value;
    if (token) this.token = token;
    return Boolean(token) && response.ok && !response.redirected;
  }

  static #explain(status) {
    if (status === 403) return "You may not do this any more. Your edits are kept in this browser.";
    return `The site answered with an error (${status}). Your edits are kept in this browser: try again.`;
  }
}

addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("sheet-data").textContent);
  const get = (id) => document.getElementById(id);
  const model = new SheetModel(data), api = new SheetApi(data), grid = new SheetGrid(get("sheet-box"), model);
  const editor = new SheetEditor(grid, model), paste = new SheetPaste(grid, model, api, tell), drafts = new SheetDrafts(data, model, tell);
  let isLeaving = false;

  function tell(text, isProblem = false) {
    const note = get("sheet-note");
    note.textContent = text;
    note.hidden = !text;
    note.classList.toggle("ops-warn", isProblem);
  }

  function show() {
    const problems = model.problems.size;
    get("sheet-count").textContent = model.describe() + (problems ? `; ${problems === 1 ? "1 is" : `${problems.toLocaleString("en")} are`} refused` : "");
    get("sheet-next-error").hidden = !problems;
    get("sheet-review").disabled = !model.edits.size;
    document.querySelector("[data-do=undo]").disabled = !model.done.length;
    document.querySelector("[data-do=redo]").disabled = !model.undone.length;
    describeCell();
  }

  function describeCell() {
    if (!model.rows.length) return;
    const { r, c } = grid.active, edit = c ? model.edit(r, c) : undefined, problem = c ? model.problem(r, c) : "";
    const where = `${model.columns[c].label} of ${model.rows[r].id}`;
    const now = edit && edit.seen !== model.seen(r, c) ? ` Somebody changed it meanwhile to “${Cells.shorten(model.seen(r, c) ?? "", 100)}”.` : "";
    const locked = c && model.isLocked(r, c) ? `: too long for a sheet; edit it on the page of the ${data.noun}` : "";
    get("sheet-cell").textContent = edit ? `${where}: ${problem || "changed"}${problem.endsWith(".") ? "" : "."} Before: ${edit.seen ? `“${Cells.shorten(edit.seen, 200)}”` : "empty"}.${now}` : `${where}${locked}`;
    get("sheet-cell").classList.toggle("ops-bad-text", problem !== "");
  }

  function moveTo(step) {
    if (step?.length) grid.select(step[0].r, step[0].c);
  }

  // A button has done its work: the keys go to the cells again.
  function focusCells() {
    editor.field.focus({ preventScroll: true });
  }

  function nextProblem() {
    const problems = model.listProblems(), { r, c } = grid.active;
    const next = problems.find((each) => each.r > r || (each.r === r && each.c > c)) ?? problems[0];
    if (next) grid.select(next.r, next.c);
  }

  function fillDown() {
    const { top, bottom, left, right } = grid.range, from = top === bottom ? top - 1 : top, changes = [];
    if (from < 0) return tell("Select the cell to copy and those below it, then fill down.");
    for (let r = from + 1; r <= bottom; r += 1) for (let c = Math.max(1, left); c <= right; c += 1) changes.push({ r, c, text: model.text(from, c) });
    const cut = changes.some(({ c }) => model.isLocked(from, c));
    if (cut) return tell(`The first cell is too long for a sheet. Edit it on the page of the ${data.noun}.`, true);
    const locked = model.write(changes);
    return tell(locked ? `${locked} ${locked === 1 ? "cell is" : "cells are"} too long for a sheet, and stayed.` : "", true);
  }

  async function review() {
    editor.commit();
    if (model.problems.size && model.listProblems().some(({ r, c }) => Cells.check(model.columns[c], model.text(r, c)))) {
      nextProblem();
      return tell("Some cells are refused. Change them, or take them back with Ctrl + Z, then review.", true);
    }
    const button = get("sheet-review");
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    const answer = await api.post(data.review_url, { cells: model.listEdits() });
    button.removeAttribute("aria-busy");
    if (answer.status === 201) {
      drafts.save(answer.body.number);
      isLeaving = true;
      location.assign(answer.body.url);
      return undefined;
    }
    show();
    const others = model.refuse(answer.body.errors ?? []);
    if (model.problems.size) nextProblem();
    return tell([answer.problem, ...others.slice(0, 5)].join(" "), true);
  }

  const actions = {
    undo: () => moveTo(model.undo()),
    redo: () => moveTo(model.redo()),
    fill: fillDown,
    problem: nextProblem,
    leave: () => (model.edits.size ? get("sheet-review") : document.querySelector("[data-do=paste]")).focus(),
    paste: () => get("sheet-paste").showModal(),
    keys: () => get("sheet-keys").showModal(),
    tell,
  };

  async function restore(draft) {
    const keys = [...new Set(draft.cells.map(([key]) => key))], missing = keys.filter((key) => !model.byKey.has(key));
    if (missing.length) {
      const answer = await api.fetchRows({ keys: missing });
      if (answer.problem) return tell(answer.problem, true);
      paste.addRows(answer.rows);
    }
    model.restore(draft.cells);
    drafts.save();
    drafts.forget(draft);
    const gone = missing.filter((key) => !model.byKey.has(key)).length;
    return tell(gone ? `${gone} of the edited ${data.nouns} ${gone === 1 ? "does" : "do"} not exist any more.` : "", true);
  }

  function offer(draft) {
    const card = document.createElement("div"), text = document.createElement("span"), buttons = document.createElement("span");
    card.className = "ops-note ops-busy ops-sheet-offer";
    buttons.className = "ops-buttons";
    const count = draft.cells.length, when = new Date(draft.at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
    text.textContent = `${count.toLocaleString("en")} edited ${count === 1 ? "cell" : "cells"} of ${when} ${count === 1 ? "was" : "were"} ${draft.reviewed === null ? "not reviewed yet" : `reviewed as change set ${draft.reviewed}, and not started`}.`;
    for (const [label, act] of [["Restore", () => restore(draft)], ["Discard", () => drafts.forget(draft)]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "ops-button";
      button.textContent = label;
      button.addEventListener("click", () => { card.remove(); act(); focusCells(); });
      buttons.append(button);
    }
    card.append(text, buttons);
    get("sheet-drafts").append(card);
  }

  async function putIntoSheet() {
    const field = get("sheet-paste-text"), note = get("sheet-paste-note");
    const result = await paste.pasteNamed(field.value);
    note.textContent = result.problem || result.text;
    note.hidden = !(result.problem || result.left);
    if (result.problem) return;
    field.value = result.left; // what found no row, or no room, stays
    tell(result.text, result.left !== "");
    if (result.left) return;
    get("sheet-paste").close();
    focusCells();
  }

  model.onchange = (cells) => {
    grid.paint(cells);
    get("sheet-empty")?.remove();
    show();
    drafts.later();
  };
  grid.onmove = (cell) => {
    editor.place(cell);
    describeCell();
  };
  new SheetKeys(grid, editor, model, paste, actions);
  get("sheet-review").addEventListener("click", review);
  get("sheet-next-error").addEventListener("click", nextProblem);
  get("sheet-paste-go").addEventListener("click", putIntoSheet);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) actions[button.dataset.do]();
    if (button && !document.querySelector("dialog[open]")) focusCells();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-keeps]")) {
      editor.commit();
      drafts.carryOn();
      isLeaving = true;
    }
  });
  addEventListener("pageshow", () => { isLeaving = false; });
  addEventListener("beforeunload", (event) => {
    editor.commit();
    if (!isLeaving && model.edits.size) event.preventDefault();
  });

  const carried = drafts.takeCarried();
  show();
  grid.select(0, 1);
  if (carried) restore(carried);
  drafts.list().filter((draft) => draft.name !== carried?.name).forEach(offer);
});
