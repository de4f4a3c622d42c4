// Says, whenever the window gets the focus, what others have changed since the form was opened.
"use strict";
{
  const note = document.getElementById("changed");

  async function update() {
    const response = await fetch(note.dataset.url).catch(() => null); // The next focus asks again.
    if (!response?.ok || response.redirected) return;
    const { text } = await response.json();
    note.firstElementChild.textContent = text;
    note.hidden = !text;
  }

  addEventListener("focus", update);
}
