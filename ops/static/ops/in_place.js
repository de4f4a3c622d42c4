// Asks for an operation without leaving the list: the page that confirms it is shown in a dialog, with its preview, and the run that starts is followed in a
// note with its link, and a link that takes it back. Whatever is not such a page is opened as usual.
"use strict";
{
  const list = document.getElementById("changelist-form");
  const dialog = Object.assign(document.createElement("dialog"), { id: "in-place", className: "ops-dialog ops-wide" });
  const UNKNOWN = "The server did not answer, so it is not known whether the run started. Look at the list of runs before you try again.";

  async function read(url, options = {}) {
    const response = await fetch(url, { cache: "no-store", ...options });
    return { url: response.url, page: new DOMParser().parseFromString(await response.text(), "text/html") };
  }

  // The addresses on the page are relative to it, and the dialog is on another.
  function resolveAddresses(url) {
    for (const name of ["href", "action", "data-url"]) {
      for (const element of dialog.querySelectorAll(`[${name}]`)) element.setAttribute(name, new URL(element.getAttribute(name), url).href);
    }
    const asking = dialog.querySelector("#asking");
    if (!asking.hasAttribute("action")) asking.setAttribute("action", url);
  }

  // Returns whether the answer is a page that confirms an operation.
  function show({ url, page }) {
    if (!page.getElementById("asking")) return false;
    const message = page.querySelector("#page-messages > *");
    dialog.replaceChildren(...(message ? [message] : []), page.getElementById("content-main"));
    dialog.setAttribute("aria-label", dialog.querySelector(".ops-title").textContent);
    resolveAddresses(url);
    if (dialog.open) dialog.querySelector("[name=preview]").focus();
    else dialog.showModal();
    dialog.scrollTo(0, 0);
    document.dispatchEvent(new Event("ops:confirmation"));
    return true;
  }

  async function open(url) {
    try {
      if (show(await read(url))) return;
    } catch {
      // The page itself says what is the matter.
    }
    window.location.assign(url);
  }

  function report(text) {
    const note = Object.assign(document.createElement("p"), { className: "ops-note ops-bad", textContent: text });
    note.setAttribute("role", "alert");
    dialog.append(note);
    note.scrollIntoView();
  }

  list?.addEventListener("submit", async (event) => {
    if (!event.submitter || event.submitter.name !== "index" || list.dataset.usual) return;
    event.preventDefault();
    try {
      if (show(await read(window.location.href, { method: "POST", body: new FormData(list, event.submitter) }))) return;
    } catch {
      // As below.
    }
    list.dataset.usual = "yes";
    list.requestSubmit(event.submitter);
  });
  window.addEventListener("pageshow", () => delete list?.dataset.usual);

  dialog.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    const asking = event.target;
    let answer;
    try {
      answer = await read(asking.getAttribute("action"), { method: "POST", body: new FormData(asking, event.submitter) });
    } catch {
      delete asking.dataset.sent;
      return report(UNKNOWN);
    }
    if (show(answer)) return;
    if (!/\/run\/\d+\/change\/$/.test(answer.url)) return window.location.assign(answer.url);
    dialog.close();
    document.dispatchEvent(new CustomEvent("ops:run", { detail: answer.url }));
  });

  dialog.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-back]");
    if (!link) return;
    event.preventDefault();
    dialog.close();
  });
  // The first Escape does not throw away a text; browsers close the dialog at the second.
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog || ![...dialog.querySelectorAll("textarea")].some((field) => field.value !== field.defaultValue)) return;
    event.preventDefault();
    report("To close this and lose what you wrote, press Escape once more.");
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());
  document.addEventListener("ops:open", (event) => open(event.detail));
  document.body.append(dialog);
}
