"use strict";
// The development page: calls the real API as one merchant, and shows its events as they are published.

const page = document.getElementById("main");
const { merchant, platform } = page.dataset;
const who = new URLSearchParams({ merchant, platform });
const POLL_MS = 2000; // while a purchase is open, should its event be late or NATS away
const RENEW_BEFORE_MS = 30000;
const MAX_EVENTS_SHOWN = 200;

const at = (id) => document.getElementById(id);
const openHistories = new Set();
let token = null;
let tokenEndsAt = 0;
let poll = null;
let refreshing = null;
let refreshAgain = false;
let waitingFor = null; // what the page polls for: the merchant's announcement, an open purchase, or the service itself

// --- the API ---------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.problem = problem;
    this.status = status;
  }
}

async function bearer() {
  if (Date.now() > tokenEndsAt - RENEW_BEFORE_MS) {
    const response = await fetch(`/development/token?${who}`);
    if (!response.ok) throw new Refused({ title: "No token for this merchant" }, response.status);
    const given = await response.json();
    token = given.token;
    tokenEndsAt = Date.now() + given.lifetime_s * 1000;
  }
  return token;
}

async function call(method, path, body, idempotencyKey) {
  const headers = { Authorization: `Bearer ${await bearer()}`, "X-Platform": platform };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = idempotencyKey;
  }
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused({ title: "The service cannot be reached", detail: "Is it still running?" }, 0);
  }
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(document, response.status);
  return document;
}

// One press is one key: should the answer be lost, the same press may be sent again without doing it twice.
const change = (path, body) => call("POST", path, body, crypto.randomUUID());

// --- small pieces ------------------------------------------------------------------------------------------------------

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const number = (value) => Number(value).toLocaleString("en", { useGrouping: "min2" });
const moment = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const price = (money) => `${money.currency} ${money.amount}`;
const good = new Set(["active", "converted", "completed"]);
const unfinished = new Set(["created", "pending", "available"]);
const tag = (status) => `tag${good.has(status) ? " good" : unfinished.has(status) ? " open" : ""}`;

function say(text) {
  if (at("said").textContent !== text) at("said").textContent = text;
}

function complain(error) {
  const box = at("trouble");
  box.hidden = error === null;
  if (error === null) return box.replaceChildren();
  const problem = error.problem || {};
  box.replaceChildren(element("strong", { textContent: problem.title || "Something went wrong" }));
  if (error.message !== problem.title) box.append(element("p", { textContent: error.message }));
  const fields = (problem.errors || []).map((each) => element("li", { textContent: `${each.pointer}: ${each.detail}` }));
  if (fields.length) box.append(element("ul", {}, ...fields));
  const marks = [problem.code, error.status && `HTTP ${error.status}`, problem.correlation_id].filter(Boolean);
  if (marks.length) box.append(element("p", {}, element("code", { textContent: marks.join(" · ") })));
}

async function pressed(button, act) {
  button.disabled = true;
  complain(null);
  try {
    await act();
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
    await refresh();
  }
}

// --- what is shown -------------------------------------------------------------------------------------------------------

function showOverview({ trial, purchases, packs }) {
  at("credits-purchased").textContent = number(purchases.credits_purchased);
  at("credits-reversed").textContent = number(purchases.credits_reversed);
  showTrial(trial);
  if (at("packs").childElementCount === 0) at("packs").replaceChildren(...packs.map(packItem));
}

function showTrial(trial) {
  const status = at("trial-status");
  status.textContent = trial.status;
  status.className = tag(trial.status);
  const terms = `${number(trial.credits)} credits for ${trial.duration_days} days`;
  at("trial-text").textContent = trial.ends_at ? `${terms}, until ${moment(trial.ends_at)}.` : `${terms}.`;
  at("start-trial").hidden = trial.status !== "available";
}

function packItem(pack) {
  const buy = element("button", { type: "button", className: "button primary", textContent: `Buy ${pack.pack}` });
  buy.addEventListener("click", () => pressed(buy, () => purchase(pack.pack)));
  const item = element(
    "li",
    {},
    element("span", { className: "tag", textContent: pack.pack }),
    element("span", { className: "credits", textContent: `${number(pack.credits)} credits` }),
    element("span", { textContent: price(pack.price) }),
  );
  if (pack.bonus_credits) item.append(element("span", { textContent: `and ${number(pack.bonus_credits)} bonus credits` }));
  item.append(buy);
  return item;
}

async function purchase(pack) {
  const made = await change("/api/billing/purchases", { pack, return_url: `${location.origin}/?${who}` });
  await refresh();
  say(`Purchase of ${made.pack} is ${made.status}. Open its checkout to pay.`);
  const link = document.querySelector(`[data-purchase="${made.id}"] a`);
  if (link) link.focus();
}

function showPurchases(purchases) {
  at("no-purchases").hidden = purchases.length > 0;
  const kept = new Map([...at("purchases").children].map((item) => [item.dataset.purchase, item]));
  const items = purchases.map((each) => purchaseItem(each, kept.get(each.id)));
  const shown = at("purchases").children;
  // Putting back even the same items would take them away from under a press of the mouse.
  if (items.length === shown.length && items.every((item, place) => item === shown[place])) return;
  at("purchases").replaceChildren(...items);
}

function purchaseItem(purchase, before) {
  const shape = JSON.stringify([purchase, openHistories.has(purchase.id)]);
  if (before && before.dataset.shape === shape) return before; // nothing changed: keep the reader's focus where it is
  const item = element("li", {}, purchaseLine(purchase));
  item.dataset.purchase = purchase.id;
  item.dataset.shape = shape;
  if (openHistories.has(purchase.id)) showHistory(purchase.id, item);
  return item;
}

function purchaseLine(purchase) {
  const credits = `${number(purchase.credits + purchase.bonus_credits)} credits`;
  const line = element(
    "div",
    { className: "line" },
    element("strong", { textContent: `${purchase.pack}: ${credits} for ${price(purchase.price)}` }),
    element("span", { className: tag(purchase.status), textContent: purchase.status }),
  );
  if (purchase.needs_review) line.append(element("span", { className: "tag bad", textContent: "needs review" }));
  if (purchase.late) line.append(element("span", { className: "tag", textContent: "late" }));
  line.append(element("span", { className: "muted", textContent: moment(purchase.completed_at || purchase.created_at) }));
  const actions = element("span", { className: "actions" });
  if (purchase.checkout_url) {
    actions.append(element("a", { className: "button small primary", href: purchase.checkout_url, textContent: "Open checkout" }));
  }
  actions.append(historyButton(purchase.id));
  line.append(actions);
  return line;
}

function historyButton(id) {
  const shown = openHistories.has(id);
  const button = element("button", { type: "button", className: "button small", textContent: "History" });
  button.setAttribute("aria-expanded", String(shown));
  button.addEventListener("click", async () => {
    if (!openHistories.delete(id)) openHistories.add(id);
    await refresh();
    const again = document.querySelector(`[data-purchase="${id}"] button`);
    if (again) again.focus();
  });
  return button;
}

async function showHistory(id, item) {
  const list = element("ol", { className: "history" });
  item.append(list);
  try {
    const { data } = await call("GET", `/api/billing/purchases/${id}/history`);
    list.replaceChildren(
      ...data.map((entry) => {
        const reason = entry.reason ? ` – ${entry.reason}` : "";
        const moved = entry.status_before && entry.status_before !== entry.status_after;
        const from = moved ? `${entry.status_before} → ${entry.status_after}` : entry.what;
        const what = moved && entry.what !== entry.status_after ? `${entry.what}, ${from}` : from;
        return element("li", { textContent: `${moment(entry.at)}: ${what} by ${entry.actor}${reason}` });
      }),
    );
  } catch (error) {
    complain(error);
  }
}

// --- keeping up to date ----------------------------------------------------------------------------------------------------

// One refresh at a time; whoever asks meanwhile gets another one right after it.
function refresh() {
  if (refreshing) {
    refreshAgain = true;
    return refreshing;
  }
  refreshing = (async () => {
    do {
      refreshAgain = false;
      await load();
    } while (refreshAgain);
    refreshing = null;
  })();
  return refreshing;
}

async function load() {
  clearTimeout(poll);
  try {
    const [overview, purchases] = await Promise.all([
      call("GET", "/api/billing"),
      call("GET", "/api/billing/purchases?limit=20"),
    ]);
    showOverview(overview);
    showPurchases(purchases.data);
    const bought = overview.purchases.counts.completed;
    say(`${number(bought)} completed ${bought === 1 ? "purchase" : "purchases"}, trial ${overview.trial.status}.`);
    if (waitingFor === "merchant" || waitingFor === "service") complain(null);
    waitingFor = purchases.data.some((each) => unfinished.has(each.status)) ? "purchase" : null;
  } catch (error) {
    if (error.problem && error.problem.code === "MERCHANT_NOT_FOUND") {
      waitingFor = "merchant";
      say("The service does not know this merchant yet. Waiting for its announcement…");
    } else {
      waitingFor = "service";
    }
    complain(error);
  }
  if (waitingFor) poll = setTimeout(refresh, POLL_MS);
}

// --- live events -------------------------------------------------------------------------------------------------------------

const seen = new Set();

function showEvent(event) {
  if (seen.has(event.id)) return;
  seen.add(event.id);
  const summary = element(
    "summary",
    {},
    element("time", { dateTime: event.time, textContent: moment(event.time) }),
    element("strong", { textContent: event.type }),
    element("span", { className: "muted", textContent: `no. ${event.sequence}` }),
  );
  const body = element("pre", { textContent: JSON.stringify(event, null, 2) });
  at("events").prepend(element("li", {}, element("details", {}, summary, body)));
  while (at("events").childElementCount > MAX_EVENTS_SHOWN) at("events").lastElementChild.remove();
  refresh();
}

function connection(text, kind) {
  at("events-state").textContent = text;
  at("events-state").className = `tag ${kind}`;
}

function follow() {
  const source = new EventSource(`/development/events?${who}`);
  source.addEventListener("open", () => connection("live", "good"));
  source.addEventListener("error", () => connection("connecting", "open"));
  source.addEventListener("away", () => connection("NATS is away", "bad"));
  source.addEventListener("fact", (message) => showEvent(JSON.parse(message.data)));
  addEventListener("pagehide", () => source.close());
}

at("start-trial").addEventListener("click", (press) => pressed(press.target, () => change("/api/billing/trials", {})));
addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });
refresh();
follow();
