// The merchant's trial: where it stands, and how long it still runs.

import { change } from "./api.js";
import { at, pressed } from "./screen.js";
import { timeLeft, trialWords } from "./words.js";

const MINUTE_MS = 60000;
// The service's clock decides. Where ours is ahead of it, it is asked again, and not without a pause.
const ASK_AGAIN_MS = 2000;
let ticking = null;

// `whenOver` is called when the time has run out.
export function showTrial(trial, whenOver) {
  clearTimeout(ticking);
  const { heading, text } = trialWords(trial);
  at("status").dataset.trial = trial.status;
  at("status-heading").textContent = heading;
  at("status-text").textContent = text;
  at("start-trial").hidden = trial.status !== "available";
  at("countdown").hidden = trial.status !== "active";
  if (trial.status === "active") tick(Date.parse(trial.started_at), Date.parse(trial.ends_at), whenOver);
  return `${heading}. ${text}`;
}

function tick(startedAt, endsAt, whenOver) {
  const leftMs = Math.max(0, endsAt - Date.now());
  at("time-left").textContent = timeLeft(leftMs);
  at("trial-progress").value = 100 * (1 - leftMs / (endsAt - startedAt));
  if (leftMs === 0) {
    ticking = setTimeout(whenOver, ASK_AGAIN_MS);
    return;
  }
  // Minutes are enough until the last one. Less than a second is left over: then the text has changed.
  const step = leftMs > MINUTE_MS ? leftMs % MINUTE_MS : leftMs % 1000;
  ticking = setTimeout(() => tick(startedAt, endsAt, whenOver), step + 50);
}

export function onStart(afterwards) {
  const button = at("start-trial");
  button.addEventListener("click", () =>
    pressed(button, async () => {
      await change("/api/billing/trials", {});
      await afterwards();
      at("status-heading").focus(); // the button is gone, and with it the reader's place
    }),
  );
}
