// A receipt of one purchase, from what the API says of it.

import { call } from "./api.js";
import { at, complain, element, say, tag } from "./screen.js";
import { credits, moment, price, purchaseWords, sold } from "./words.js";

const purchaseId = at("main").dataset.purchase;

async function load() {
  try {
    show(await call("GET", `/api/billing/purchases/${purchaseId}`));
  } catch (error) {
    complain(error);
    say("The receipt cannot be shown.");
  }
  at("main").removeAttribute("aria-busy");
}

function show(purchase) {
  if (!purchase.completed_at) {
    say(`There is no receipt: this purchase is not paid. ${purchaseWords(purchase).text}`);
    return;
  }
  at("bill").replaceChildren(...bill(purchase));
  at("facts").replaceChildren(...facts(purchase));
  at("receipt").hidden = false;
  at("print").hidden = false;
  say(purchase.test ? "A test payment: no money moved." : "");
}

function* bill(purchase) {
  const free = purchase.bonus_credits ? ` and ${credits(purchase.bonus_credits)} free` : "";
  yield row(`${credits(purchase.credits)}${free}`, price(purchase.price), `Pack ${purchase.pack}, one-time purchase`);
  if (purchase.credits_reversed) yield row("Credits taken back", `−${credits(purchase.credits_reversed)}`);
  const total = row("Total paid", price(purchase.price));
  total.className = "total";
  yield total;
}

function* facts(purchase) {
  const { name, kind } = purchaseWords(purchase);
  yield fact("State", tag(name, kind));
  yield fact("Paid", moment(purchase.completed_at));
  yield fact("Merchant", purchase.merchant_id);
  yield fact("Paid through", purchase.platform);
  yield fact("Payment", element("code", { textContent: purchase.platform_reference }));
  yield fact("Purchase", element("code", { textContent: purchase.id }));
  if (purchase.credits_reversed) yield fact("Yours now", credits(sold(purchase) - purchase.credits_reversed));
}

function row(term, amount, note) {
  const name = element("dt", { textContent: term });
  if (note) name.append(element("span", { className: "muted", textContent: note }));
  return element("div", {}, name, element("dd", { textContent: amount }));
}

const fact = (term, value) => element("div", {}, element("dt", { textContent: term }), element("dd", {}, value));

at("print").addEventListener("click", () => window.print());
load();
