// Marks the pictures whose file is not in the storage.
"use strict";
{
  function mark(picture) {
    const box = document.createElement("span");
    Object.assign(box, { className: `${picture.className} cards-missing`, textContent: "No file", title: "The file is not in the storage" });
    picture.replaceWith(box);
  }

  addEventListener("error", (event) => event.target.matches?.("img.cards-picture") && mark(event.target), true);
  addEventListener("DOMContentLoaded", () => {
    for (const picture of document.querySelectorAll("img.cards-picture")) {
      if (picture.complete && picture.currentSrc && !picture.naturalWidth) mark(picture);
    }
  });
}
