// Live updates, keys, tabs, folding and copying. Everything else is plain HTML and htmx.
"use strict";

const live = document.getElementById("live");
const html = document.documentElement;

// Live updates: one connection while the page is visible; htmx fetches what listens for "changed".
let source = null;
let seen = document.body.dataset.seen; // the state of the store that the page shows
let waitsForSelection = false;
let timer = null;
let asked = 0;
let due = 0;
// A large page that is slow to fetch and draw is renewed less often. No change is lost: the last one is waited for.
function refresh() {
  timer ??= setTimeout(renew, Math.max(due - performance.now(), 0));
}
function renew() {
  timer = null;
  // Text that is being selected is not pulled away.
  waitsForSelection = Boolean(String(getSelection()) && getSelection().anchorNode?.parentElement?.closest("#list, #tree"));
  if (waitsForSelection) return;
  asked = performance.now();
  htmx.trigger(document.body, "changed");
}
document.addEventListener("selectionchange", () => { if (waitsForSelection) refresh(); });
document.addEventListener("htmx:afterSettle", (event) => {
  if (isRenewal(event)) due = performance.now() + 4 * (performance.now() - asked);
});
function isRenewal(event) {
  return event.detail.requestConfig?.triggeringEvent?.type === "changed";
}
let paused = sessionStorage.getItem("paused") === "1";
function connect() {
  const wanted = !paused && !document.hidden;
  live.setAttribute("aria-pressed", String(!paused));
  live.querySelector("span").textContent = paused ? "paused" : "live";
  if (wanted && !source) {
    source = new EventSource("/local/stream?since=" + encodeURIComponent(seen));
    source.addEventListener("changed", (event) => {
      seen = event.data;
      refresh();
    });
    source.onopen = () => live.classList.add("on");
    source.onerror = () => live.classList.remove("on");
  } else if (!wanted && source) {
    source.close();
    source = null;
    live.classList.remove("on");
  }
}
function togglePause() {
  paused = !paused;
  sessionStorage.setItem("paused", paused ? "1" : "0");
  connect();
  if (!paused) refresh();
}
let missed = false;
document.addEventListener("visibilitychange", () => {
  connect();
  if (document.hidden) missed = true;
  else if (missed && !paused) refresh();
});
window.addEventListener("pagehide", () => { if (source) source.close(); source = null; });
window.addEventListener("pageshow", connect);
live.addEventListener("click", togglePause);

// Dark and light.
function toggleTheme() {
  const dark = html.dataset.theme ? html.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  html.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", html.dataset.theme);
  window.dispatchEvent(new Event("theme"));
}
document.getElementById("theme").addEventListener("click", toggleTheme);

// Times in the reader's own zone.
const shortTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const longTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-time]")) {
    const date = new Date(Number(time.dataset.time) * 1000);
    const today = date.toDateString() === new Date().toDateString();
    time.textContent = "long" in time.dataset ? longTime.format(date) : today ? shortTime.format(date)
      : date.toLocaleDateString(undefined, { month: "short", day: "numeric" }) + " " + shortTime.format(date).slice(0, 5);
  }
}

// Tabs of an event; the last choice is kept for the next event.
let tab = "conversation";
function showTab(article, name) {
  const buttons = [...article.querySelectorAll("[role=tab]")];
  if (!buttons.some((button) => button.dataset.tab === name)) name = "conversation";
  for (const button of buttons) {
    button.setAttribute("aria-selected", String(button.dataset.tab === name));
    button.tabIndex = button.dataset.tab === name ? 0 : -1;
  }
  for (const panel of article.querySelectorAll("[role=tabpanel]")) panel.hidden = panel.dataset.panel !== name;
}
function fold(node, open) {
  const depth = Number(node.dataset.depth);
  node.querySelector(".fold").setAttribute("aria-expanded", String(open));
  let hiddenBelow = Infinity;
  for (let next = node.nextElementSibling; next && Number(next.dataset.depth) > depth; next = next.nextElementSibling) {
    const level = Number(next.dataset.depth);
    if (level <= hiddenBelow) hiddenBelow = Infinity;
    next.hidden = !open || level > hiddenBelow;
    const button = next.querySelector("button.fold");
    if (open && button && button.getAttribute("aria-expanded") === "false" && hiddenBelow === Infinity) hiddenBelow = level;
  }
}
async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}

document.addEventListener("click", async (event) => {
  const at = (selector) => event.target.closest(selector);
  const tabButton = at("[role=tab]");
  if (tabButton) {
    tab = tabButton.dataset.tab;
    return showTab(tabButton.closest("article"), tab);
  }
  const folding = at("button.fold");
  if (folding) return fold(folding.closest(".node"), folding.getAttribute("aria-expanded") === "false");
  if (at("[data-help]")) return document.getElementById("help").showModal();
  const from = at("[data-copy-from]");
  if (from) {
    event.preventDefault(); // a button inside a summary folds nothing
    return copy(from, await (await fetch(from.dataset.copyFrom)).text());
  }
  const copyable = at("[data-copyable]");
  if (copyable) return copy(copyable, copyable.textContent);
  const all = at("[data-fold-all]");
  if (all) {
    const folds = [...all.closest("[data-panel]").querySelectorAll("details.message, details.call")];
    const open = folds.some((found) => !found.open);
    for (const found of folds) found.open = open;
    all.textContent = all.textContent.replace(/^\w+/, open ? "Fold" : "Unfold");
    return undefined;
  }
  const row = at("tr[data-row]");
  if (row && !at("a, button, input, label") && !getSelection().toString()) row.querySelector("a.open").click();
  return undefined;
});
document.addEventListener("input", (event) => {
  if (!("narrow" in event.target.dataset)) return;
  const text = event.target.value.toLowerCase();
  for (const row of event.target.parentElement.querySelectorAll("tr[data-name]")) row.hidden = !row.dataset.name.includes(text);
});
document.addEventListener("change", (event) => {
  if ("submit" in event.target.dataset) event.target.form.requestSubmit();
  if (event.target.name === "e") enableCompare(event.target.form);
});
function enableCompare(form) {
  const chosen = form.querySelectorAll("input[name=e]:checked").length;
  form.querySelector("[data-compare]").disabled = chosen !== 2;
}

// What htmx brings: keep the chosen tab, mark the chosen node, keep folded what was folded, keep what is ticked.
// What is being read stays where it is while rows come in above it.
const kept = { folded: [], ticked: [], chosen: null, row: null, top: 0 };
function keepPlace() {
  const links = scrollY > 0 ? [...document.querySelectorAll("#list a.open, #tree a.open")] : [];
  const first = links.find((link) => link.getBoundingClientRect().top > 60);
  kept.row = first?.id ?? null;
  kept.top = first?.getBoundingClientRect().top ?? 0;
}
function restorePlace() {
  const row = kept.row && document.getElementById(kept.row);
  if (row) scrollBy(0, row.getBoundingClientRect().top - kept.top);
}
document.addEventListener("htmx:beforeSwap", (event) => {
  if (isRenewal(event)) keepPlace();
  kept.folded = [...document.querySelectorAll('.node > button.fold[aria-expanded="false"]')].map((b) => b.nextElementSibling.id);
  kept.ticked = [...document.querySelectorAll("input[name=e]:checked")].map((input) => input.value);
  kept.chosen = document.querySelector("#details article")?.dataset.seq ?? null;
  if (event.detail.target.id === "details") kept.chosen = null;
});
document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  showTimes(target);
  if (isRenewal(event)) restorePlace();
  if (target.id === "details") {
    const article = target.querySelector("article");
    if (article) showTab(article, tab);
    mark(article?.dataset.seq);
    const link = document.querySelector(`#tree a.node-link[aria-current]`);
    if (link) history.replaceState(null, "", link.href);
    if (matchMedia("(max-width: 900px)").matches) target.scrollIntoView();
    else target.scrollTop = 0;
  } else if (target.id === "tree") {
    for (const id of kept.folded) {
      const node = document.getElementById(id)?.closest(".node");
      if (node) fold(node, false);
    }
    mark(kept.chosen);
  } else {
    for (const input of target.querySelectorAll("input[name=e]")) input.checked = kept.ticked.includes(input.value);
    for (const form of target.querySelectorAll("form.choose")) if (form.querySelector("[data-compare]")) enableCompare(form);
  }
});
function mark(seq) {
  for (const link of document.querySelectorAll("#tree a.node-link")) {
    if (link.dataset.seq === seq) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

// Keys.
function move(step) {
  const links = [...document.querySelectorAll("[data-row] a.open")].filter((link) => link.offsetParent);
  if (!links.length) return;
  const now = links.indexOf(document.activeElement.closest?.("[data-row]")?.querySelector("a.open")
    ?? document.querySelector('a.open[aria-current="true"]'));
  const next = links[Math.min(Math.max(now + step, 0), links.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  if (next.classList.contains("node-link")) next.click();
}
const keys = {
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  "/": () => document.querySelector("#q, [data-narrow]")?.focus(),
  "[": () => document.getElementById("newer")?.click(), "]": () => document.getElementById("older")?.click(),
  p: togglePause, t: toggleTheme, "?": () => document.getElementById("help").showModal(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing) return;
  const tabButton = event.target.closest?.("[role=tab]");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (tabButton && step) {
    const tabs = [...tabButton.parentElement.children];
    const next = tabs[(tabs.indexOf(tabButton) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
    return event.preventDefault();
  }
  const node = event.target.closest?.(".node");
  if (node && (event.key === "ArrowLeft" || event.key === "ArrowRight") && node.querySelector("button.fold")) {
    fold(node, event.key === "ArrowRight");
    return event.preventDefault();
  }
  const scrolls = event.key.startsWith("Arrow") && !event.target.closest?.("[data-row]");
  if (keys[event.key] && !scrolls) {
    event.preventDefault();
    keys[event.key]();
  }
  return undefined;
});

showTimes(document);
connect();
