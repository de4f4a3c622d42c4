// Says that a file is too large before it is sent, and that it is being sent.
"use strict";
{
  const form = document.getElementById("upload");
  const file = document.getElementById("file");
  const problem = document.getElementById("file-problem");
  const send = document.getElementById("send");

  function isTooLarge() {
    return (file.files[0]?.size ?? 0) > Number(form.dataset.maxBytes);
  }

  function showProblem() {
    problem.textContent = isTooLarge() ? problem.dataset.tooLarge : "";
    problem.hidden = !problem.textContent;
  }

  file.addEventListener("change", showProblem);
  form.addEventListener("submit", (event) => {
    if (isTooLarge()) {
      event.preventDefault();
      showProblem();
      file.focus();
      return;
    }
    send.disabled = true;
    send.lastElementChild.textContent = send.dataset.sending;
  });
  // Back from the next page: the browser shows this one as it was left.
  window.addEventListener("pageshow", () => {
    send.disabled = false;
  });
}
