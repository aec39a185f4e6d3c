// The real API, called with a real token as one merchant. In a shop the app's own back end stands here instead: it knows
// who is signed in, and keeps the token to itself.

const { merchant, platform } = document.getElementById("main").dataset;
const RENEW_BEFORE_MS = 30000;
let token = null;
let tokenEndsAt = 0;

export const who = new URLSearchParams({ merchant, platform });

export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.problem = problem;
    this.status = status;
  }
}

export async function call(method, path, body, idempotencyKey) {
  const headers = { Authorization: `Bearer ${await bearer()}`, "X-Platform": platform };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = idempotencyKey;
  }
  return answerOf(await reach(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }));
}

// One press is one key: should the answer be lost, the same press may be sent again without doing it twice.
export const change = (path, body) => call("POST", path, body, crypto.randomUUID());

async function bearer() {
  if (Date.now() > tokenEndsAt - RENEW_BEFORE_MS) {
    const given = await answerOf(await reach(`/development/token?${who}`));
    token = given.token;
    tokenEndsAt = Date.now() + given.lifetime_s * 1000;
  }
  return token;
}

async function reach(path, request) {
  try {
    return await fetch(path, request);
  } catch {
    throw new Refused({ title: "The service cannot be reached", detail: "It is asked again every few seconds." }, 0);
  }
}

async function answerOf(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer, response.status);
  return answer;
}
