// What the API says, in plain words.

export const number = (value) => Number(value).toLocaleString("en", { useGrouping: "min2" });
export const credits = (value) => `${number(value)} ${value === 1 ? "credit" : "credits"}`;
export const price = (money) => `${money.currency} ${money.amount}`;
export const day = (text) => new Date(text).toLocaleDateString("en-GB", { dateStyle: "long" });
export const moment = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
export const instant = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const sold = (offer) => offer.credits + offer.bonus_credits;

// How much a hundred credits cost in this pack, in the decimals its currency has.
export function perHundred(pack) {
  const decimals = (pack.price.amount.split(".")[1] || "").length;
  return `${pack.price.currency} ${((Number(pack.price.amount) * 100) / sold(pack)).toFixed(decimals)}`;
}

export function timeLeft(milliseconds) {
  const minutes = Math.floor(milliseconds / 60000);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${counted(days, "day")} ${counted(hours % 24, "hour")}`;
  if (hours > 0) return `${counted(hours, "hour")} ${counted(minutes % 60, "minute")}`;
  if (minutes > 0) return counted(minutes, "minute");
  return counted(Math.max(0, Math.floor(milliseconds / 1000)), "second");
}

const counted = (many, what) => `${many} ${what}${many === 1 ? "" : "s"}`;

// --- the trial ---------------------------------------------------------------------------------------------------------

export const TRIALS = {
  available: (trial) => ({
    heading: "Try it free",
    text: `${credits(trial.credits)} for ${counted(trial.duration_days, "day")}. Nothing to pay, and it ends by itself.`,
  }),
  active: (trial) => ({
    heading: "Your trial is running",
    text: `${credits(trial.credits)} until ${moment(trial.ends_at)}.${trial.converted_at ? " What you bought stays yours." : ""}`,
  }),
  expired: (trial) => ({
    heading: "Your trial is over",
    text: `It ended on ${moment(trial.ends_at)}. Credits you buy stay yours for good.`,
  }),
  converted: () => ({
    heading: "Your trial has become a purchase",
    text: "It ended with the first credits you bought.",
  }),
  ended: () => ({
    heading: "Your trial was ended",
    text: "It was ended before its time. Ask support where that is not what you expected.",
  }),
  refused: () => ({
    heading: "Your shop has had its trial",
    text: "Each shop has one, also when it installs the app again. Credits you buy stay yours for good.",
  }),
};

export const trialWords = (trial) => TRIALS[trial.status](trial);

// --- a purchase --------------------------------------------------------------------------------------------------------

export const PURCHASES = {
  created: { name: "Being prepared", kind: "open", text: () => "Its checkout is not open yet. Buy it again to go on." },
  pending: { name: "Waiting for payment", kind: "open", text: waiting },
  completed: { name: "Paid", kind: "good", text: paid },
  declined: { name: "Declined", kind: "", text: () => "You said no at the checkout. Nothing was charged." },
  failed: { name: "Failed", kind: "bad", text: () => "The payment did not go through. Nothing was charged." },
  expired: { name: "Expired", kind: "", text: () => "It was not paid in time. Nothing was charged." },
  cancelled: { name: "Cancelled", kind: "", text: () => "It was called off before it was paid." },
  partially_refunded: { name: "Partly refunded", kind: "", text: takenBack },
  refunded: { name: "Refunded", kind: "", text: takenBack },
  disputed: { name: "In dispute", kind: "bad", text: disputed },
};

const IN_REVIEW = {
  name: "Being looked at",
  kind: "open",
  text: () => "The payment is not the one that was asked for. A person is looking at it; there is nothing you need to do.",
};

// A payment that waits for a person is told as that, unless the credits are there all the same.
export function purchaseWords(purchase) {
  const words = purchase.needs_review && !purchase.completed_at ? IN_REVIEW : PURCHASES[purchase.status];
  return { name: words.name, kind: words.kind, text: words.text(purchase) };
}

function waiting(purchase) {
  if (!purchase.checkout_url) return "The time to pay is over; whether it was paid is being asked.";
  return `Pay by ${moment(purchase.expires_at)}. Nothing is charged before.`;
}

function paid(purchase) {
  const late = purchase.late ? " It came after the time to pay, and counts all the same." : "";
  return `${credits(sold(purchase))} are yours since ${moment(purchase.completed_at)}.${late}`;
}

function takenBack(purchase) {
  const left = sold(purchase) - purchase.credits_reversed;
  const rest = left > 0 ? ` ${credits(left)} are still yours.` : "";
  return `Money was given back, and ${credits(purchase.credits_reversed)} with it.${rest}`;
}

function disputed(purchase) {
  return `The payment is disputed. ${credits(purchase.credits_reversed)} are on hold until that is decided.`;
}

// --- what is refused ---------------------------------------------------------------------------------------------------

// In a merchant's words, where the API's are meant for whoever calls it. What is not here is told as the API tells it.
export const REFUSALS = {
  SERVICE_UNAVAILABLE: {
    title: "Billing is away for a moment",
    detail: "Nothing was decided and nothing is lost. Try again in a moment.",
  },
  PLATFORM_ERROR: {
    title: "The payment platform does not answer as it should",
    detail: "Nothing was charged. Try again in a moment.",
  },
  TOO_MANY_OPEN_PURCHASES: {
    title: "Too many purchases wait for payment",
    detail: "Pay one of them first, or let it expire; they are listed under Purchases.",
  },
  TRIAL_ALREADY_USED: {
    title: "Your shop has had its trial",
    detail: "Each shop has one, also when it installs the app again.",
  },
};
