// Keeps the page of a run or an export live: fetches what changes, and replaces only what has changed, so that a button
// under the pointer stays the same button. Stops when it no longer moves.
"use strict";
{
  const EVERY = 1000;
  const WINDOW = 10; // looks back, for the rate

  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const looks = [];

  function remember() {
    const { done, at } = live.firstElementChild.dataset;
    looks.push({ done, at });
    if (looks.length > WINDOW) looks.shift();
  }

  function replace(fresh) {
    const shown = [...live.querySelectorAll("section")];
    const told = [...fresh.querySelectorAll("section")];
    if (shown.length === told.length) {
      told.forEach((section, place) => mend(shown[place], section));
      Object.assign(live.firstElementChild.dataset, fresh.body.firstElementChild.dataset);
    } else {
      live.replaceChildren(...fresh.body.childNodes);
    }
  }

  function mend(shown, fresh) {
    if (shown.isEqualNode(fresh)) return;
    if (isFrame(shown) && isFrame(fresh) && sameOutside(shown, fresh)) {
      [...fresh.children].forEach((child, place) => mend(shown.children[place], child));
    } else {
      shown.replaceWith(fresh);
    }
  }

  // Holds elements and no text of its own.
  function isFrame(node) {
    const texts = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE);
    return node.children.length > 0 && texts.every((text) => !text.data.trim());
  }

  function sameOutside(one, other) {
    return one.children.length === other.children.length && one.cloneNode().isEqualNode(other.cloneNode());
  }

  async function look() {
    const address = `${live.dataset.address}?${new URLSearchParams(looks[0])}`;
    const answer = await fetch(address, { cache: "no-store", redirect: "manual" });
    if (!answer.ok) {
      // Signed out, no longer permitted, or no longer there: the page itself says so.
      if (answer.type === "opaqueredirect" || [403, 404].includes(answer.status)) window.location.reload();
      throw new Error(answer.status);
    }
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    remember();
  }

  async function watch() {
    while (live.firstElementChild.dataset.moves === "yes") {
      await new Promise((resume) => setTimeout(resume, EVERY));
      if (document.hidden) continue;
      try {
        await look();
        lost.hidden = true;
      } catch {
        lost.hidden = false;
      }
    }
  }

  remember();
  watch();
}
