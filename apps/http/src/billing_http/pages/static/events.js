// For developers: the merchant's events, as they are published.

import { who } from "./api.js";
import { at, element } from "./screen.js";
import { instant } from "./words.js";

const MAX_SHOWN = 200;
const seen = new Set();

export function follow(onEvent) {
  const source = new EventSource(`/development/events?${who}`);
  source.addEventListener("open", () => connection("live", "good"));
  source.addEventListener("error", () => connection("connecting", "open"));
  source.addEventListener("away", () => connection("NATS is away", "bad"));
  source.addEventListener("fact", (message) => {
    if (show(JSON.parse(message.data))) onEvent();
  });
  addEventListener("pagehide", () => source.close());
}

function show(event) {
  if (seen.has(event.id)) return false;
  seen.add(event.id);
  const summary = element(
    "summary",
    {},
    element("time", { dateTime: event.time, textContent: instant(event.time) }),
    element("strong", { textContent: event.type }),
    element("span", { className: "muted", textContent: `no. ${event.sequence}` }),
  );
  const body = element("pre", { textContent: JSON.stringify(event, null, 2) });
  at("events").prepend(element("li", {}, element("details", {}, summary, body)));
  while (at("events").childElementCount > MAX_SHOWN) at("events").lastElementChild.remove();
  at("no-events").hidden = true;
  return true;
}

function connection(text, kind) {
  at("events-state").textContent = text;
  at("events-state").className = `tag ${kind}`;
}
