// The page of a run that waits for a second person: fetches the preview once it is shown, and looks whether the run still waits.
// Once it does not, shows it as it is now, unless that would lose what somebody types.
"use strict";
{
  const INTERVAL_MS = 3000;

  const waiting = document.getElementById("waiting");
  const previewed = document.getElementById("previewed");
  const decided = document.getElementById("decided");
  const form = document.getElementById("decision");

  async function read(url) {
    const response = await fetch(url, { cache: "no-store", redirect: "manual" });
    // Signed out, no longer permitted, or decided: the reloaded page says which.
    if (response.type === "opaqueredirect" || [403, 404].includes(response.status)) showDecision();
    if (!response.ok && response.status !== 409) throw new Error(response.status);
    return new DOMParser().parseFromString(await response.text(), "text/html").body;
  }

  function showDecision() {
    const typed = [...(form?.elements ?? [])].some((field) => field.type === "textarea" && field.value !== field.defaultValue);
    if (!typed && !form?.dataset.sent) window.location.assign(window.location.href);
    decided.hidden = !typed;
  }

  async function fetchPreview() {
    try {
      previewed.replaceChildren(...(await read(previewed.dataset.url)).childNodes);
    } catch {
      previewed.replaceChildren();
      document.getElementById("unpreviewed").hidden = false;
    }
    previewed.removeAttribute("aria-busy");
  }

  async function watch() {
    while (decided.hidden) {
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
      if (document.hidden) continue;
      try {
        const live = (await read(waiting.dataset.url)).firstElementChild;
        if (live.dataset.state !== "awaiting_approval") return showDecision();
      } catch {
        // The server does not answer: try again.
      }
    }
  }

  // A second click during the first submission would be refused, and look as if the first had been.
  form?.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => delete form?.dataset.sent);
  if (previewed) fetchPreview();
  watch();
}
