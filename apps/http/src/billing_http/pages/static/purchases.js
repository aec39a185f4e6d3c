// What was bought, newest first: how it stands in plain words, its checkout, its receipt, its history.

import { call, who } from "./api.js";
import { at, complain, element, tag, unseen } from "./screen.js";
import { credits, instant, moment, price, purchaseWords, sold } from "./words.js";

const PAGE = 20;
const openHistories = new Map(); // by purchase id: its entries, null until they have come
let pages = 1;
let latest = [];

export async function readPurchases() {
  const found = [];
  let cursor = null;
  for (let page = 0; page < pages; page += 1) {
    const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await call("GET", `/api/billing/purchases?limit=${PAGE}${from}`);
    found.push(...answer.data);
    cursor = answer.next_cursor;
    if (cursor === null) break;
  }
  return { purchases: found, more: cursor !== null };
}

export function showPurchases({ purchases, more }) {
  latest = purchases;
  at("no-purchases").hidden = purchases.length > 0;
  at("older").hidden = !more;
  draw();
}

export function onOlder(refresh) {
  at("older").addEventListener("click", async () => {
    pages += 1;
    const first = latest.length;
    await refresh();
    at("purchases").children[first]?.querySelector("h3").focus();
  });
}

function draw() {
  const kept = new Map([...at("purchases").children].map((item) => [item.dataset.purchase, item]));
  const items = latest.map((each) => purchaseItem(each, kept.get(each.id)));
  const shown = at("purchases").children;
  // Putting back even the same items would take them away from under a press of the mouse.
  if (items.length === shown.length && items.every((item, place) => item === shown[place])) return;
  const focused = document.activeElement?.dataset.keep;
  at("purchases").replaceChildren(...items);
  if (focused) document.querySelector(`[data-keep="${focused}"]`)?.focus();
}

function purchaseItem(purchase, before) {
  const shape = JSON.stringify([purchase, purchaseWords(purchase), openHistories.get(purchase.id) ?? null, openHistories.has(purchase.id)]);
  if (before && before.dataset.shape === shape) return before;
  const { name, kind, text } = purchaseWords(purchase);
  const states = element("p", { className: "states" }, tag(name, kind));
  if (purchase.needs_review && purchase.completed_at) states.append(tag("Being looked at", "open"));
  if (purchase.test) states.append(tag("Test"));
  const item = element(
    "li",
    { className: "purchase" },
    element("h3", { tabIndex: -1, textContent: credits(sold(purchase)) }),
    element("p", { className: "amount", textContent: price(purchase.price) }),
    element("p", { className: "muted when", textContent: `Pack ${purchase.pack}, ${moment(purchase.created_at)}` }),
    states,
    element("p", { className: "words", textContent: text }),
    actions(purchase),
  );
  item.dataset.purchase = purchase.id;
  item.dataset.shape = shape;
  if (openHistories.get(purchase.id)) item.append(historyList(openHistories.get(purchase.id)));
  return item;
}

function actions(purchase) {
  const about = unseen(` of ${credits(sold(purchase))}, ${moment(purchase.created_at)}`);
  const row = element("p", { className: "actions" });
  // Who has paid something must not be asked to pay again.
  if (purchase.checkout_url && !purchase.needs_review) row.append(link(purchase, "Continue to checkout", purchase.checkout_url, "button small primary", about));
  if (purchase.completed_at) row.append(link(purchase, "Receipt", `/development/receipts/${purchase.id}?${who}`, "button small", about));
  const history = element("button", { type: "button", className: "button small" }, "History", about.cloneNode(true));
  history.dataset.keep = `History ${purchase.id}`;
  history.setAttribute("aria-expanded", String(openHistories.has(purchase.id)));
  history.addEventListener("click", () => toggleHistory(purchase.id));
  row.append(history);
  return row;
}

function link(purchase, text, href, className, about) {
  const made = element("a", { href, className }, text, about.cloneNode(true));
  made.dataset.keep = `${text} ${purchase.id}`;
  return made;
}

async function toggleHistory(id) {
  if (openHistories.delete(id)) return draw();
  openHistories.set(id, null);
  draw();
  await readHistory(id);
}

// History grows with the purchase: read again whenever the purchases were.
export const refreshHistories = () => Promise.all([...openHistories.keys()].map(readHistory));

async function readHistory(id) {
  try {
    const { data } = await call("GET", `/api/billing/purchases/${id}/history`);
    if (openHistories.has(id)) openHistories.set(id, data);
    draw();
  } catch (error) {
    complain(error);
  }
}

function historyList(entries) {
  return element("ol", { className: "history" }, ...entries.map((entry) => element("li", {}, ...historyEntry(entry))));
}

function* historyEntry(entry) {
  const moved = entry.status_before && entry.status_before !== entry.status_after;
  const from = moved ? `${entry.status_before} → ${entry.status_after}` : entry.what;
  const what = moved && entry.what !== entry.status_after ? `${entry.what}, ${from}` : from;
  yield element("time", { dateTime: entry.at, textContent: instant(entry.at) });
  yield ` ${what} by ${entry.actor}${entry.reason ? ` – ${entry.reason}` : ""}`;
}
