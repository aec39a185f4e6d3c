// The merchant's billing page: one question for how everything stands, one for what was bought, and again whenever
// something happened.

import { call } from "./api.js";
import { follow } from "./events.js";
import { showPacks } from "./packs.js";
import { onOlder, readPurchases, refreshHistories, showPurchases } from "./purchases.js";
import { at, complain, say } from "./screen.js";
import { onStart, showTrial } from "./trial.js";
import { number } from "./words.js";

const POLL_MS = 2000; // while something is open or away, should its event be late
const OPEN = new Set(["created", "pending"]);
let poll = null;
let refreshing = null;
let refreshAgain = false;

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
  let waits = true;
  try {
    const [overview, bought] = await Promise.all([call("GET", "/api/billing"), readPurchases()]);
    show(overview, bought);
    refreshHistories();
    waits = bought.purchases.some((each) => OPEN.has(each.status));
  } catch (error) {
    showTrouble(error);
  }
  if (waits) poll = setTimeout(refresh, POLL_MS);
}

let troubled = false; // whether the trouble that is told of came from asking, and goes with the next good answer

function show({ trial, purchases, packs }, bought) {
  if (troubled) complain(null);
  troubled = false;
  enter("ready");
  const { credits_purchased: purchased, credits_reversed: reversed } = purchases;
  at("credits-purchased").textContent = number(purchased);
  at("credits-reversed").textContent = number(reversed);
  at("credits-left").textContent = number(purchased - reversed);
  const status = showTrial(trial, refresh);
  showPacks(packs);
  showPurchases(bought);
  say(`${status} ${number(purchased)} credits bought.`);
}

// What is on the screen stays there: it was true a moment ago. Before the first answer there is nothing to show.
function showTrouble(error) {
  troubled = true;
  const unknown = error.problem?.code === "MERCHANT_NOT_FOUND";
  if (unknown || at("main").dataset.state !== "ready") {
    enter(unknown ? "unknown" : "away");
    at("status-heading").textContent = unknown ? "This merchant is not known yet" : "Your billing cannot be shown right now";
    at("status-text").textContent = unknown
      ? "The page waits for its announcement: “Announce as new” above sends one."
      : "Nothing is lost. The page asks again every few seconds.";
  }
  complain(unknown ? null : error);
  say(unknown ? at("status-text").textContent : "");
}

function enter(state) {
  at("main").dataset.state = state;
  at("main").removeAttribute("aria-busy");
}

onStart(refresh);
onOlder(refresh);
addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });
refresh();
follow(refresh);
