// Refreshes the page of a run or an export while it is active, and the page of the queue. Replaces only the
// elements that changed, so that a button under the pointer stays the same element.
"use strict";
{
  const MAX_SNAPSHOTS = 10; // The server computes the rate since the oldest of them.

  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const interval = Number(live.dataset.interval || 1000); // in milliseconds
  const snapshots = [];

  function takeSnapshot() {
    const { done, at } = live.firstElementChild.dataset;
    if (done === undefined) return;
    snapshots.push({ done, at });
    if (snapshots.length > MAX_SNAPSHOTS) snapshots.shift();
  }

  function replaceChanges(fresh) {
    for (const fold of fresh.querySelectorAll("details[id]")) {
      fold.open = Boolean(document.getElementById(fold.id)?.open);
    }
    const oldSections = [...live.querySelectorAll("section")];
    const newSections = [...fresh.querySelectorAll("section")];
    if (oldSections.length === newSections.length) {
      newSections.forEach((section, index) => replaceElement(oldSections[index], section));
      Object.assign(live.firstElementChild.dataset, fresh.body.firstElementChild.dataset);
    } else {
      live.replaceChildren(...fresh.body.childNodes);
    }
  }

  function replaceElement(current, fresh) {
    if (current.isEqualNode(fresh)) return;
    if (isContainer(current) && isContainer(fresh) && isSameContainer(current, fresh)) {
      [...fresh.children].forEach((child, index) => replaceElement(current.children[index], child));
    } else {
      current.replaceWith(fresh);
    }
  }

  // Whether the node has child elements and no text of its own.
  function isContainer(node) {
    const texts = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE);
    return node.children.length > 0 && texts.every((text) => !text.data.trim());
  }

  function isSameContainer(one, other) {
    return one.children.length === other.children.length && one.cloneNode().isEqualNode(other.cloneNode());
  }

  async function refresh() {
    const url = `${live.dataset.url}?${new URLSearchParams(snapshots[0] ?? {})}`;
    const response = await fetch(url, { cache: "no-store", redirect: "manual" });
    if (!response.ok) {
      // Signed out, no longer permitted, or deleted: the reloaded page says which.
      if (response.type === "opaqueredirect" || [403, 404].includes(response.status)) window.location.reload();
      throw new Error(response.status);
    }
    replaceChanges(new DOMParser().parseFromString(await response.text(), "text/html"));
    takeSnapshot();
  }

  async function refreshWhileActive() {
    while (live.firstElementChild.dataset.active === "yes") {
      await new Promise((resolve) => setTimeout(resolve, interval));
      if (document.hidden) continue;
      try {
        await refresh();
        lost.hidden = true;
      } catch {
        lost.hidden = false;
      }
    }
  }

  takeSnapshot();
  refreshWhileActive();
}
