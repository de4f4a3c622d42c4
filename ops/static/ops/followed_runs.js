// The notes of the runs that were started in this tab: how far each is, its page, and what takes it back. They stay when the list is loaded again.
"use strict";
{
  const KEY = "ops:runs";
  const MAX_RUNS = 4;
  const INTERVAL_MS = 1000;
  const WAITING_INTERVAL_MS = 5000;
  const WAITING = ["awaiting_approval", "paused"];
  const notes = Object.assign(document.createElement("section"), { className: "ops-followed" });
  notes.setAttribute("aria-label", "Runs that you started");

  function readUrls() {
    try {
      return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      return [];
    }
  }

  function storeUrls(urls) {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(urls.slice(-MAX_RUNS)));
    } catch {
      // Without a store the notes end with the page.
    }
  }

  function make(name, className, text = "") {
    return Object.assign(document.createElement(name), { className, textContent: text });
  }

  function makeNote(url) {
    const note = make("article", "ops-card ops-followed-run");
    const said = make("p", "ops-followed-said", "Started");
    said.setAttribute("role", "status");
    const count = make("p", "ops-muted");
    const bar = Object.assign(make("progress", "ops-bar ops-thin"), { max: 100, value: 0 });
    bar.setAttribute("aria-label", "Progress");
    const page = Object.assign(make("a", "ops-link", "See the run"), { href: url });
    const undo = Object.assign(make("a", "ops-link", "Undo …"), { hidden: true });
    const reload = Object.assign(make("button", "ops-link", "Reload the list"), { type: "button", hidden: true });
    const close = Object.assign(make("button", "ops-link", "Close"), { type: "button" });
    const links = make("p", "ops-followed-links");
    links.append(page, undo, reload, close);
    note.append(said, bar, count, links);
    undo.addEventListener("click", (event) => {
      event.preventDefault();
      document.dispatchEvent(new CustomEvent("ops:open", { detail: undo.href }));
    });
    reload.addEventListener("click", () => window.location.reload());
    close.addEventListener("click", () => {
      note.remove();
      storeUrls(readUrls().filter((each) => each !== url));
    });
    return { note, said, count, bar, undo, reload };
  }

  function say(parts, live) {
    const { state } = live.dataset;
    const heading = live.querySelector(".ops-title").textContent.trim();
    const status = live.querySelector("#state").textContent.trim();
    const words = { succeeded: "done", awaiting_approval: "waits for a second person" }[state] ?? status;
    const text = `${heading}: ${words}`;
    if (parts.said.textContent !== text) parts.said.textContent = text; // else it is read aloud each second
    parts.count.textContent = live.querySelector("#done")?.textContent ?? "";
    const bar = live.querySelector("progress");
    parts.bar.className = `${bar.className} ops-thin`;
    parts.bar.value = bar.value;
    const undo = live.querySelector('a[href$="/revert/"]');
    parts.undo.hidden = !undo;
    if (undo) parts.undo.href = undo.getAttribute("href");
    parts.reload.hidden = live.dataset.done === "0";
  }

  async function readLive(url) {
    const response = await fetch(new URL("../live/", url), { cache: "no-store", redirect: "manual" });
    if (!response.ok) throw new Error(response.status);
    return new DOMParser().parseFromString(await response.text(), "text/html").body.firstElementChild;
  }

  async function follow(url) {
    const parts = makeNote(url);
    notes.append(parts.note);
    for (let delay = 0; parts.note.isConnected; ) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (document.hidden && delay) continue;
      try {
        const live = await readLive(url);
        say(parts, live);
        const waits = WAITING.includes(live.dataset.state);
        if (live.dataset.active !== "yes" && !waits) return;
        delay = waits ? WAITING_INTERVAL_MS : INTERVAL_MS;
      } catch {
        delay = WAITING_INTERVAL_MS; // The link to the run stays.
      }
    }
  }

  document.addEventListener("ops:run", (event) => {
    storeUrls([...readUrls(), event.detail]);
    follow(event.detail);
  });
  document.body.append(notes);
  readUrls().forEach(follow);
}
