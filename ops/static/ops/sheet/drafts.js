// Edits that are not reviewed yet, kept in this browser by person and list, and offered again.
"use strict";

class SheetDrafts {
  constructor(data, model, tell) {
    this.model = model;
    this.tell = tell;
    this.prefix = `ops-sheet:${data.person}:${data.list}:`;
    this.name = this.prefix + Date.now().toString(36) + Math.random().toString(36).slice(2, 6);
    this.open = new Set(data.drafts);
    this.timer = 0;
    addEventListener("pagehide", () => this.save());
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), 300);
  }

  save(reviewed = null) {
    clearTimeout(this.timer);
    if (this.isClosed) return;
    const cells = this.model.listEdits();
    try {
      if (cells.length) localStorage.setItem(this.name, JSON.stringify({ at: Date.now(), cells, reviewed }));
      else localStorage.removeItem(this.name);
    } catch {
      this.tell("This browser cannot keep your edits while you are away. Review them before you leave the page.", true);
    }
    this.isClosed = reviewed !== null;
  }

  // The next page of the sheet takes these edits along.
  carryOn() {
    this.save();
    sessionStorage.setItem("ops-sheet-carry", this.name);
  }

  takeCarried() {
    const name = sessionStorage.getItem("ops-sheet-carry");
    sessionStorage.removeItem("ops-sheet-carry");
    return name?.startsWith(this.prefix) ? this.#read(name) : null;
  }

  // Those that are still to be offered, the newest first. What was started since is forgotten.
  list() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix) && name !== this.name);
    const drafts = names.map((name) => this.#read(name)).filter(Boolean);
    for (const draft of drafts) if (draft.reviewed !== null && !this.open.has(draft.reviewed)) this.forget(draft);
    return drafts.filter((draft) => draft.reviewed === null || this.open.has(draft.reviewed)).sort((one, other) => other.at - one.at);
  }

  forget(draft) {
    localStorage.removeItem(draft.name);
  }

  #read(name) {
    try {
      return { reviewed: null, ...JSON.parse(localStorage.getItem(name)), name };
    } catch {
      return null;
    }
  }
}
