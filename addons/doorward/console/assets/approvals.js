// The page of holds works without this. With it, times count down and the page notices changes;
// a reason that somebody is typing is never thrown away.
(() => {
  "use strict";
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? null;
  const seen = meta("doorward-seen");
  const only = meta("doorward-hold");
  // not reload(): the page may be the answer to a form, which must not be sent twice
  const again = () => location.replace(only ? `/approvals/${only}` : "/approvals");

  const left = (until) => {
    const seconds = Math.max(0, Math.round((until - Date.now()) / 1000));
    if (seconds === 0) return "its time is over";
    const minutes = Math.floor(seconds / 60);
    if (minutes >= 120) return `within ${Math.floor(minutes / 60)} h`;
    if (minutes >= 10) return `within ${minutes} min`;
    return minutes > 0 ? `within ${minutes} min ${seconds % 60} s` : `within ${seconds} s`;
  };
  const count = () => {
    for (const time of document.querySelectorAll("time[data-expires]")) time.textContent = left(Date.parse(time.dateTime));
  };

  const typing = () => [...document.querySelectorAll("textarea")].some((area) => area.value.trim() !== "");
  const look = async () => {
    if (document.hidden) return;
    let answer;
    try {
      answer = await fetch(only ? `/api/holds/${only}` : "/api/holds", { credentials: "same-origin" });
    } catch {
      return; // the console is away; the next look tells
    }
    if (answer.status === 401) return again();
    if (!answer.ok) return;
    const now = (await answer.json()).seen;
    if (now === seen) return;
    if (typing() || document.activeElement?.closest("form.decide")) document.getElementById("changed").hidden = false;
    else again();
  };

  count();
  setInterval(count, 1000);
  setInterval(look, 4000);
  document.addEventListener("visibilitychange", look);
  for (const form of document.querySelectorAll("form.decide")) {
    form.addEventListener("submit", () => setTimeout(() => form.querySelectorAll("button").forEach((b) => (b.disabled = true))));
  }
})();
