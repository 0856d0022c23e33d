// Beside mitmweb's own frontend: Resume and Abort ask for a reason and bind it to the digest
// shown; what the console refuses is said to the person, which mitmweb's frontend would not do.
(() => {
  "use strict";
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  const token = meta("doorward-token");
  const reviewer = meta("doorward-role") === "reviewer";
  const local = meta("doorward-local") === "yes"; // `doorward flows open`: recorded flows, no holds, no login
  const stock = window.fetch.bind(window);

  // mitmweb opens its page for capturing first; the console captures nothing
  if (!location.hash || location.hash.startsWith("#/capture")) history.replaceState(null, "", "#/flows");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // --- messages -----------------------------------------------------------------------------
  const say = (text, kind = "bad") => {
    const note = element("div", { class: `dw-note ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
    let notes = document.getElementById("dw-notes");
    if (!notes) document.body.append((notes = element("div", { id: "dw-notes" })));
    notes.append(note);
    setTimeout(() => note.remove(), kind === "bad" ? 12000 : 5000);
  };
  const sentence = async (answer) => {
    try {
      const problem = await answer.clone().json();
      return problem.hint ? `${problem.error}: ${problem.hint}.` : `${problem.error}.`;
    } catch {
      return `the console answered ${answer.status}.`;
    }
  };
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // --- the question -------------------------------------------------------------------------
  const row = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
  const question = (hold, verdict) => {
    const dialog = element("dialog", { class: "dw-ask", "aria-labelledby": "dw-title" });
    const reason = element("textarea", { id: "dw-reason", required: "", minlength: "3", maxlength: "1000", rows: "3", autocomplete: "off" });
    const go = element("button", { type: "submit", class: verdict === "approve" ? "dw-yes" : "dw-no" }, verdict === "approve" ? "Approve" : "Deny");
    const cancel = element("button", { type: "button", class: "dw-quiet" }, "Cancel");
    const problem = element("p", { class: "dw-problem", role: "alert" });
    const where = element("p", { class: "dw-where" }, "on ", element("strong", {}, hold.target), " ", element("span", { class: `dw-risk ${hold.risk}` }, `${hold.risk} risk`));
    if (hold.open_ended) where.append(" ", element("span", { class: "dw-risk high" }, "stays open after the yes"));
    const facts = element(
      "dl",
      {},
      row("Agent", element("strong", {}, hold.principal), hold.label ? ` calls itself “${hold.label}”` : ""),
      row("For", hold.owner ?? element("span", { class: "dw-warn" }, "no owner is known")),
      ...hold.asks.map((ask) => row("Rule", `${ask.rule} · ${ask.given.length} of ${ask.count}${ask.given.length ? ` · yes from ${ask.given.join(", ")}` : ""} · may be answered by ${ask.approvers.join(", ")}`)),
      row("Digest", element("code", { title: hold.digest }, hold.digest.slice(0, 16)), " your answer binds to it"),
    );
    const form = element(
      "form",
      { method: "dialog" },
      element("p", { class: "dw-kind" }, verdict === "approve" ? "Approve this request?" : "Deny this request?"),
      element("h2", { id: "dw-title" }, element("b", {}, hold.verb), ` ${hold.path}`, hold.query ? `?${hold.query}` : ""),
      where,
      facts,
    );
    const body = element("pre", { "aria-label": "Masked body", tabindex: "0" });
    form.append(body);
    if (hold.may_decide) {
      form.append(
        element("label", { for: "dw-reason" }, "Your reason"),
        reason,
        element("p", { class: "dw-faint" }, "It is kept in the record under ", element("strong", {}, meta("doorward-person")), "."),
        problem,
        element("div", { class: "dw-buttons" }, go, cancel),
      );
    } else {
      form.append(element("p", { class: "dw-problem" }, hold.why_not), element("div", { class: "dw-buttons" }, cancel));
    }
    dialog.append(form);
    document.body.append(dialog);
    // mitmweb listens for single keys on the window: what is typed here is not for it
    for (const kind of ["keydown", "keypress", "keyup"]) dialog.addEventListener(kind, (event) => event.stopPropagation());
    return { dialog, form, body, reason, go, cancel, problem };
  };

  const quiet = () => new Response("{}", { status: 200, headers: { "Content-Type": "application/json" } });
  let asking = Promise.resolve();
  const decide = (url, flow, verdict) => {
    const turn = asking.then(() => ask(url, flow, verdict));
    asking = turn.catch(() => undefined);
    return turn;
  };
  const ask = async (url, flow, verdict) => {
    const shown = await stock(`/flows/${flow}/hold`, { credentials: "same-origin" });
    if (!shown.ok) {
      say(capital(await sentence(shown)));
      return quiet();
    }
    const hold = await shown.json();
    const { dialog, form, body, reason, go, cancel, problem } = question(hold, verdict);
    stock(`/flows/${flow}/request/content/Auto.json?lines=40`, { credentials: "same-origin" })
      .then(async (content) => (body.textContent = content.ok ? (await content.json()).text : await sentence(content)))
      .catch(() => (body.textContent = "The body cannot be shown now."));
    return new Promise((resolve) => {
      const close = () => {
        dialog.close();
        dialog.remove();
        resolve(quiet());
      };
      cancel.addEventListener("click", close);
      dialog.addEventListener("cancel", (event) => (event.preventDefault(), close()));
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        go.disabled = true;
        try {
          const answer = await stock(url, {
            method: "POST",
            credentials: "same-origin",
            headers: { "Content-Type": "application/json", "Doorward-Token": token },
            body: JSON.stringify({ reason: reason.value, digest: hold.digest }),
          });
          if (!answer.ok) {
            problem.textContent = capital(await sentence(answer));
            go.disabled = answer.status === 409;
            return;
          }
          say((await answer.json()).said, "good");
          close();
        } catch {
          problem.textContent = "The console cannot be reached. Try again.";
          go.disabled = false;
        }
      });
      dialog.showModal();
      (hold.may_decide ? reason : cancel).focus();
    });
  };

  window.fetch = async (input, init = {}) => {
    const method = (init.method ?? "GET").toUpperCase();
    const path = new URL(typeof input === "string" ? input : input.url, document.baseURI).pathname;
    const decision = method === "POST" && path.match(/^\/flows\/([0-9a-f-]+)\/(resume|kill)$/);
    if (decision) return decide(path, decision[1], decision[2] === "resume" ? "approve" : "deny");
    const answer = await stock(input, method === "GET" ? init : { ...init, headers: { ...init.headers, "Doorward-Token": token } });
    if (answer.status === 401) location.reload();
    else if (!answer.ok) say(capital(await sentence(answer)));
    return answer;
  };

  // --- the bar above mitmweb ------------------------------------------------------------------
  const bar = () => {
    const count = element("span", { class: "dw-count", hidden: "" });
    const out = element("form", { method: "post", action: "/logout" }, element("input", { type: "hidden", name: "token", value: token }), element("button", { class: "dw-quiet" }, "Log out"));
    const brand = element("a", { class: "dw-brand", href: local ? "/" : "/approvals" }, element("img", { src: "/doorward/mark.svg", alt: "", width: "20", height: "20" }), "doorward");
    const flows = element("a", { href: "/", "aria-current": "page" }, "Flows");
    const nav = element("nav", { "aria-label": "Pages" }, ...(local ? [] : [element("a", { href: "/approvals" }, "Approvals", count)]), flows);
    const who = element("div", { class: "dw-who" }, element("span", {}, meta("doorward-person")), element("span", { class: "dw-role" }, local ? "read-only" : meta("doorward-role")), ...(local ? [] : [out]));
    document.body.prepend(element("div", { id: "dw-bar", role: "banner" }, brand, nav, who));
    document.documentElement.classList.toggle("dw-viewer", !reviewer);
    const look = async () => {
      if (document.hidden || local) return;
      const answer = await stock("/api/holds", { credentials: "same-origin" }).catch(() => null);
      if (answer?.status === 401) return void location.reload();
      if (!answer?.ok) return;
      const open = (await answer.json()).open.length;
      count.textContent = String(open);
      count.hidden = open === 0;
    };
    look();
    setInterval(look, 5000);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", bar);
  else bar();

  // a click on a header or a path would open mitmweb's editor: here it only selects text
  for (const kind of ["mousedown", "click", "focusin", "focusout", "keydown", "paste", "input"]) {
    window.addEventListener(kind, (event) => event.target.closest?.(".inline-input") && event.stopImmediatePropagation(), true);
  }

  // the newest flows are at the end of the list; mitmweb follows it once it is there
  const toTheEnd = () => {
    const table = document.querySelector(".flow-table");
    if (!table || !table.querySelector("td")) return void setTimeout(toTheEnd, 100);
    table.scrollTop = table.scrollHeight;
  };
  toTheEnd();

  // keys of mitmweb for what the console does not do: delete, duplicate, new, replay, revert, all at once
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, dialog, [contenteditable]")) return;
      const refused = ["d", "D", "Delete", "n", "r", "v", "A", "X", "z", "e", ":"].includes(event.key);
      const decides = ["a", "x"].includes(event.key) && !reviewer;
      if (refused || decides) event.stopImmediatePropagation();
    },
    true,
  );
})();
