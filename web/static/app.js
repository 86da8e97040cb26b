// Forms that answer in place, rows by keys, saved views. Every page works without it but for these.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // -- forms: what is wrong is said beside the button, and nothing that was typed is lost

  async function send(form) {
    const wrong = $(".wrong", form);
    const button = $("button:not([type=button])", form);
    wrong.textContent = "";
    button.disabled = true;
    try {
      // Not form.action: that is the field of this name. Fields of other places that belong to the form are among them; those that say nothing are not sent.
      const fields = new URLSearchParams();
      for (const [name, value] of new FormData(form)) if (value !== "" || !/^[aw]\d+$/.test(name)) fields.append(name, value);
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields, headers: { accept: "application/json" } });
      if ((answer.headers.get("content-type") || "").startsWith("application/zip")) return keep(await answer.blob(), form.dataset.file);
      const said = await answer.json().catch(() => ({ error: "The server answers with no reason.", hint: "" }));
      if (!answer.ok) {
        wrong.textContent = `${said.error} ${said.hint}`.trim();
        const secret = $("[type=password]", form);
        if (secret) { secret.value = ""; secret.focus(); }
      } else if (said.location) {
        changed = false;
        location.assign(said.location);
        return;
      } else opened(form, said.values);
    } catch {
      wrong.textContent = "The server cannot be reached; nothing that you typed is lost.";
    }
    button.disabled = false;
  }

  function keep(file, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = name;
    link.click();
    setTimeout(() => location.reload(), 300);
  }

  function opened(form, values) {
    const place = $(".opened", form);
    place.replaceChildren();
    for (const one of values) {
      const quote = document.createElement("blockquote");
      quote.className = "original";
      one.value.forEach((line, number) => {
        if (number) quote.append(document.createElement("br"));
        quote.append(line);
      });
      place.append(quote);
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-act], [data-reveal]")) {
      event.preventDefault();
      send(event.target);
    }
  });

  // -- members: exceptions are counted, and not lost by leaving

  let changed = false;
  const members = $("#member-rows");
  const exceptions = $("#exceptions");

  function count() {
    const out = $$("[type=checkbox]:checked", members).length;
    const other = $$("select", members).filter((one) => one.value).length;
    exceptions.textContent = out || other
      ? [out && `${out} left out`, other && `${other} with an action of ${other === 1 ? "its" : "their"} own`].filter(Boolean).join(", ") + "."
      : "Single members are set in their table.";
  }

  // Controls are made where a row is looked at: thousands of them would keep the page from being used.
  const controls = $("#controls")?.content.querySelectorAll("td");

  function equip(row) {
    if (!controls || row.dataset.n === undefined || $("select", row)) return;
    const place = row.cells.length - 2;
    for (const [number, cell] of [...controls].entries()) {
      const made = cell.cloneNode(true);
      for (const field of $$("[name]", made)) field.name += row.dataset.n;
      row.cells[place + number].replaceWith(made);
    }
    if (row.dataset.a) $("select", row).value = row.dataset.a;
  }

  if (controls) {
    const near = new IntersectionObserver((seen) => {
      for (const one of seen) if (one.isIntersecting) { near.unobserve(one.target); equip(one.target); }
    }, { rootMargin: "300px" });
    for (const row of members.tBodies[0].rows) {
      if (row.dataset.a) equip(row);
      else if (row.dataset.n !== undefined) near.observe(row);
    }
  }

  if (members && exceptions) {
    members.addEventListener("change", (event) => {
      changed = true;
      count();
      if (event.target.type === "checkbox") {
        const reason = $(".reason", event.target.parentElement);
        reason.required = event.target.checked;
        if (event.target.checked) reason.focus();
      }
    });
    // What lacks a reason is shown, were it filtered out.
    members.addEventListener("invalid", (event) => { event.target.closest("tr").hidden = false; }, true);
    addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
    $("#propose")?.addEventListener("submit", () => { $("#propose").closest("details").open = true; });
    count();
  }

  if (members) {
    const body = members.tBodies[0];
    // Rows are laid out once they are scrolled to; until then they are as high as this.
    members.parentElement.style.containIntrinsicSize = `auto ${33 * (body.rows.length + 1)}px`;
    const filter = $("#filter-members");
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = wanted !== "" && !row.cells[0].textContent.toLowerCase().includes(wanted) && !row.textContent.toLowerCase().includes(wanted);
        if (!row.hidden) shown += 1;
      }
      $("#shown").textContent = wanted ? `${shown} of ${body.rows.length}` : body.rows.length;
    });
    body.addEventListener("click", (event) => {
      if (!event.target.closest("select, input")) mark(event.target.closest("tr"), false);
    });
    members.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("[data-sort]");
      if (!button) return;
      const head = button.parentElement;
      const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && button.dataset.sort === "text");
      for (const other of members.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const number = (row) => parseFloat(row.cells[head.cellIndex].textContent.replaceAll(",", "")) || 0;
      const text = (row) => row.cells[head.cellIndex].textContent;
      const order = button.dataset.sort === "number" ? (a, b) => number(a) - number(b) : (a, b) => text(a).localeCompare(text(b));
      const rows = [...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a)));
      body.append(...rows);
    });
  }

  // -- rows

  let at = null;
  const table = $("[data-rows]");

  function mark(row, scroll = true) {
    at?.classList.remove("at");
    at = row;
    equip(row);
    row.classList.add("at");
    const target = $("a", row) || row;
    if (target === row) row.tabIndex = -1;
    target.focus({ preventScroll: true });
    if (scroll) row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    if (!table) return;
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    if (!rows.length) return;
    const place = rows.indexOf(at);
    mark(rows[Math.max(0, Math.min(rows.length - 1, place < 0 ? 0 : place + by))]);
  }

  document.addEventListener("ringwatch-member", (event) => {
    const row = [...members.tBodies[0].rows].find((one) => one.cells[0].textContent === event.detail);
    if (row) { row.hidden = false; mark(row); row.scrollIntoView({ block: "center" }); }
  });

  // -- keys

  const help = $("#help");
  const single = $("#single-keys");
  const SWITCH = "ringwatch-single-keys";
  if (single) {
    single.checked = localStorage.getItem(SWITCH) !== "off";
    single.addEventListener("change", () => localStorage.setItem(SWITCH, single.checked ? "on" : "off"));
    $("[data-help]").addEventListener("click", () => help.showModal());
  }

  function to(selector) {
    const place = $(selector);
    if (!place) return;
    place.scrollIntoView({ block: "start" });
    place.focus({ preventScroll: true });
  }

  function decide() {
    const several = $("#several-panel");
    if (several && !several.hidden) {
      to("#several-panel");
      $$("[type=radio]", several).find((one) => !one.parentElement.hidden)?.focus();
      return;
    }
    to("#decision");
    const fold = $("#decision details:has(#propose)");
    if (fold && !$("#decide")) fold.open = true;
    ($("#decision form [type=radio]:checked") || $("#decision form [type=radio]") || $("#decision button"))?.focus();
  }

  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help?.open || !single?.checked) return;
    const typing = event.target.matches("textarea, select, input:not([type=checkbox], [type=radio])");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = before === "g" ? `g${event.key}` : event.key;
    before = event.key === "g" ? "g" : "";
    const act = {
      gq: () => location.assign("/queue"),
      ga: () => location.assign("/audit"),
      j: () => step(1),
      k: () => step(-1),
      "/": () => $("[data-find]")?.focus(),
      "?": () => help.showModal(),
      e: () => to("#evidence"),
      w: () => to("#web"),
      m: () => { to("#members"); step(0); },
      l: () => $("#layers button")?.focus(),
      h: () => to("#history"),
      d: decide,
      x: () => at && $("[type=checkbox]", at)?.click(),
    }[key];
    if (act) {
      event.preventDefault();
      act();
    } else if (/^[0-4]$/.test(key) && at && $("select", at)) {
      event.preventDefault();
      const choice = $("select", at);
      choice.selectedIndex = Number(key);
      choice.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });

  // -- several at once: what can be done with all that are chosen, while some are

  const several = $("#several-panel");
  if (several) {
    const boxes = $$(".queue [name=row]");
    const offer = () => {
      const chosen = boxes.filter((box) => box.checked);
      several.hidden = $("#several-jump").hidden = !chosen.length;
      $("#how-many").textContent = chosen.length === 1 ? "the one chosen" : `the ${chosen.length} chosen`;
      const common = (act) => chosen.every((box) => box.dataset.acts.split(" ").includes(act));
      for (const one of $$("[name=act]", several)) {
        one.parentElement.hidden = !common(one.value);
        if (one.parentElement.hidden) one.checked = false;
      }
      $("#several-action").hidden = !$("[value=propose]", several).checked;
      if (chosen.length && $$("[name=act]", several).every((one) => one.parentElement.hidden)) $("#how-many").textContent += ": nothing can be done with all of them";
    };
    document.addEventListener("change", (event) => { if (boxes.includes(event.target) || several.contains(event.target)) offer(); });
    offer();
  }

  // -- saved views: of this browser, by name

  const views = $("#views");
  if (views) {
    const KEY = "ringwatch-views";
    const BUILT_IN = {
      "For me to decide": "state=proposed&state=appealed&mine=1&score=0.0",
      "New and likely": "state=new&score=0.8",
      "To be carried out": "state=approved&state=exported&score=0.0",
    };
    const own = () => { try { return JSON.parse(localStorage.getItem(KEY)) || {}; } catch { return {}; } };
    const select = $("#view");
    const here = () => { const now = new URLSearchParams(location.search); now.delete("page"); now.delete("said"); return now.toString(); };
    const fill = () => {
      select.replaceChildren(new Option("Views", ""));
      for (const [name, place] of Object.entries({ ...BUILT_IN, ...own() })) {
        select.add(new Option(name, place, false, new URLSearchParams(place).toString() === here()));
      }
      $("#drop-view").hidden = !(select.selectedOptions[0].text in own());
    };
    select.addEventListener("change", () => { if (select.value) location.search = select.value; });
    $("#keep-view").addEventListener("click", () => {
      const name = prompt("Name of the view");
      if (!name?.trim()) return;
      localStorage.setItem(KEY, JSON.stringify({ ...own(), [name.trim().slice(0, 40)]: here() || "score=0.0" }));
      fill();
    });
    $("#drop-view").addEventListener("click", () => {
      const rest = own();
      delete rest[select.selectedOptions[0].text];
      localStorage.setItem(KEY, JSON.stringify(rest));
      fill();
    });
    fill();
    views.hidden = false;
    for (const box of $$("#filters [type=checkbox], #filters [name=score]")) box.addEventListener("change", () => $("#filters").requestSubmit());
  }

  document.documentElement.dataset.ready = "1";
})();
