// What can be bought, and the way to its checkout.

import { change, Refused, who } from "./api.js";
import { at, element, pressed, tag, unseen } from "./screen.js";
import { credits, number, perHundred, price, sold } from "./words.js";

let shown = null;

export function showPacks(packs) {
  const told = JSON.stringify(packs);
  if (told === shown) return; // nothing changed: keep the reader's focus where it is
  shown = told;
  const cheapest = bestOf(packs);
  at("packs").replaceChildren(...packs.map((pack) => packItem(pack, pack === cheapest)));
}

function packItem(pack, isBest) {
  const item = element(
    "li",
    { className: "pack" },
    element("h3", {}, element("span", { className: "figure", textContent: number(sold(pack)) }), " credits"),
    element("p", { className: "muted name", textContent: `Pack ${pack.pack}` }),
    element("p", { className: "price", textContent: price(pack.price) }),
    element("p", { className: "muted each", textContent: `${perHundred(pack)} for 100` }),
  );
  if (isBest) item.append(element("p", { className: "best" }, tag("Best value", "good")));
  if (pack.bonus_credits) item.append(element("p", { className: "muted free", textContent: `${credits(pack.bonus_credits)} of them free` }));
  const buy = element("button", { type: "button", className: "button primary" }, `Buy ${pack.pack}`);
  buy.append(unseen(`${credits(sold(pack))} for ${price(pack.price)}`));
  buy.addEventListener("click", () => pressed(buy, () => purchase(pack.pack)));
  item.append(buy);
  return item;
}

// A pack that is open already is handed out again with the same checkout, so pressing twice buys once.
async function purchase(pack) {
  const made = await change("/api/billing/purchases", { pack, return_url: `${location.origin}/?${who}` });
  if (!made.checkout_url) throw new Refused({ title: "There is no checkout to go to", detail: "Buy it again in a moment." }, 0);
  location.assign(made.checkout_url);
}

function bestOf(packs) {
  const worth = (pack) => sold(pack) / pack.price.amount_minor;
  const best = packs.reduce((one, other) => (worth(other) > worth(one) ? other : one), packs[0]);
  return packs.some((each) => worth(each) < worth(best)) ? best : null;
}
