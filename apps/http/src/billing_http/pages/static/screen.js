// Small pieces every page is made of: elements, what is said to whom listens, and what is said of trouble.

import { REFUSALS } from "./words.js";

export const at = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// For screen readers alone: what a button or link is about, where the eye sees it beside.
export const unseen = (textContent) => element("span", { className: "unseen", textContent });

export const tag = (textContent, kind = "") => element("span", { className: `tag ${kind}`.trim(), textContent });

// Said once: an unchanged text is not read out again.
export function say(text) {
  if (at("said").textContent !== text) at("said").textContent = text;
}

let complaint = null;

export function complain(error) {
  const problem = error ? error.problem || {} : {};
  const about = error && JSON.stringify([problem.code, error.status, error.message]);
  if (about === complaint) return; // the same again, as it is asked every few seconds, is no news
  complaint = about;
  const box = at("trouble");
  box.hidden = error === null;
  box.replaceChildren(...(error ? told(error, problem) : []));
}

function* told(error, problem) {
  const { title, detail } = REFUSALS[problem.code] || { title: problem.title || "Something went wrong", detail: error.message };
  yield element("strong", { textContent: title });
  if (detail !== title) yield element("p", { textContent: detail });
  const fields = (problem.errors || []).map((each) => element("li", { textContent: `${each.pointer}: ${each.detail}` }));
  if (fields.length) yield element("ul", {}, ...fields);
  const marks = [problem.code, error.status && `HTTP ${error.status}`, problem.correlation_id].filter(Boolean);
  if (marks.length) yield element("p", {}, element("code", { textContent: marks.join(" · ") }));
}

// The button keeps the focus while it works, so it is not disabled; a second press meanwhile does nothing.
export async function pressed(button, act) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  complain(null);
  try {
    await act();
  } catch (error) {
    complain(error);
    at("trouble").scrollIntoView({ block: "center" }); // whoever pressed far below would not see it
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
