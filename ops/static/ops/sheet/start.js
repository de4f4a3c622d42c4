// Waits until the columns of a change set are free, and starts it then. A second click starts no second run.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("start"), wait = document.getElementById("wait"), note = document.getElementById("waiting");
  const PAUSE = 2_000; // ms between two attempts
  let timer = 0;
  if (!form) return;

  async function attempt() {
    timer = setTimeout(attempt, PAUSE);
    let answer;
    try {
      const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, redirect: "manual" });
      answer = await response.json();
    } catch {
      answer = { is_claimed: true, problem: "The site does not answer." };
    }
    if (!timer) return;
    if (answer.url) location.assign(answer.url);
    if (!answer.is_claimed) stop();
    say(answer.url ? "Started." : answer.problem, answer.is_claimed);
  }

  // The problem links to the run that holds the columns; the server has escaped the rest.
  function say(problem, isWaiting) {
    const text = new DOMParser().parseFromString(problem, "text/html").body.textContent;
    note.textContent = isWaiting ? `Waiting, and trying again every ${PAUSE / 1000} seconds. ${text}` : text;
    note.hidden = false;
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    wait.textContent = "Wait, and start then";
  }

  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => delete form.dataset.sent);
  if (!wait) return;
  wait.hidden = false;
  wait.addEventListener("click", () => {
    if (timer) {
      stop();
      note.textContent = "Stopped waiting. Nothing was started.";
    } else {
      wait.textContent = "Stop waiting";
      attempt();
    }
  });
});
