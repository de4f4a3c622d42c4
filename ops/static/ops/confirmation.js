// Fetches the preview once the page, or the dialog that shows it in place, is there, and hides it while the form differs from what was previewed, whether a
// person changed the form or the browser restored old values. The server compares both again before it starts a run.
"use strict";
{
  function isChanged(field) {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return "defaultValue" in field && field.type !== "hidden" && field.value !== field.defaultValue;
  }

  async function fetchPreview(previewed, unpreviewed) {
    try {
      const response = await fetch(previewed.dataset.url, { cache: "no-store", redirect: "manual" });
      // Signed out, or no longer permitted: the reloaded page says which.
      if (response.type === "opaqueredirect" || response.status === 403) window.location.reload();
      if (!response.ok && response.status !== 409) throw new Error(response.status);
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      previewed.replaceChildren(...fresh.body.childNodes);
    } catch {
      previewed.replaceChildren();
      unpreviewed.hidden = false;
    }
    previewed.removeAttribute("aria-busy");
  }

  function watchPreview(form, previewed) {
    const changed = document.getElementById("changed");
    const update = () => {
      // The comment belongs to the form, but changes nothing that was previewed.
      changed.hidden = ![...form.elements].some((field) => !previewed.contains(field) && isChanged(field));
      previewed.hidden = !changed.hidden;
    };
    if (previewed.dataset.url) fetchPreview(previewed, document.getElementById("unpreviewed"));
    form.addEventListener("input", update);
    form.addEventListener("change", update);
    window.addEventListener("pageshow", update);
    update();
  }

  function begin() {
    const form = document.getElementById("asking");
    if (!form) return;
    // A second click during the first submission would start a second run.
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
    window.addEventListener("pageshow", () => delete form.dataset.sent);
    const previewed = document.getElementById("previewed");
    if (previewed) watchPreview(form, previewed);
  }

  document.addEventListener("ops:confirmation", begin);
  begin();
}
