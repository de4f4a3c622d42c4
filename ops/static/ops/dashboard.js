// Fills the panels of the dashboard, each by a request of its own: a slow source keeps no other panel waiting.
"use strict";
{
  const RETRY_MS = 5000;

  async function load(panel) {
    const response = await fetch(panel.dataset.url, { cache: "no-store", redirect: "manual" });
    // Signed out, or no longer permitted: the reloaded page says which.
    if (response.type === "opaqueredirect" || response.status === 403) window.location.reload();
    if (!response.ok) throw new Error(response.status);
    const html = await response.text();
    if (html !== panel.loadedHtml) replaceContent(panel.querySelector(".ops-panel-body"), html);
    panel.loadedHtml = html;
  }

  // Keeps what the user has opened, and the link that has the focus.
  function replaceContent(body, html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    for (const fold of fresh.querySelectorAll("details[id]")) {
      fold.open = Boolean(document.getElementById(fold.id)?.open);
    }
    const focused = body.contains(document.activeElement) && document.activeElement.getAttribute("href");
    body.replaceChildren(...fresh.childNodes);
    if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  async function keepLoaded(panel) {
    const note = panel.lastElementChild;
    const interval = 1000 * Number(panel.dataset.interval);
    for (;;) {
      let wait = interval;
      if (!document.hidden || panel.ariaBusy === "true") {
        try {
          await load(panel);
          note.hidden = true;
          panel.ariaBusy = "false";
        } catch {
          note.hidden = false;
          wait ||= RETRY_MS;
        }
      }
      if (!wait) return;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  document.querySelectorAll(".ops-panel").forEach(keepLoaded);
}
