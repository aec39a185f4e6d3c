"""What an answer must be while a server is away (contract §2, docs/operations.md), and what it must never be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["live", "ready", "buy", "repeat", "read", "fresh token"]

# Far above every limit of the service: who waits so long was not answered in bounded time.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of a door: `status` is None where none came, and `error` then says what came instead; `state` and
    `checks` are what a health document tells."""

    kind: Kind
    status: int | None
    took_s: float
    code: str = ""
    error: str = ""
    retry_after: str | None = None
    is_problem: bool = False
    replayed: bool = False
    state: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How a report counts it."""
        return str(self.status or "none")


# Says what is wrong with an answer; None where nothing is.
Rule = Callable[[Answer], str | None]


def always(answer: Answer) -> str | None:
    """What holds at any moment, outage or not: alive, answered in time, never a 500, and a 503 that tells when to ask
    again."""
    if answer.status is None:
        return f"no answer: {answer.error}"
    if answer.kind == "live":
        return None if answer.status == 200 else f"liveness says {answer.status}"
    if answer.kind == "ready":
        fine = answer.status == 200 or (answer.status == 503 and answer.retry_after)
        return None if fine else f"readiness says {answer.status}, Retry-After {answer.retry_after}"
    if answer.status == 503 and not (answer.retry_after and answer.is_problem and answer.code == "SERVICE_UNAVAILABLE"):
        return f"503 {answer.code} with Retry-After {answer.retry_after}"
    if answer.status >= 500 and answer.status != 503 and not _of_the_platform(answer):
        return f"{answer.status} {answer.code}"
    return None


def while_processes_start(answer: Answer) -> str | None:
    """As always, but there may be nobody to answer: a process is being replaced."""
    return None if answer.status is None else always(answer)


def without_postgres(answer: Answer) -> str | None:
    """Everything is 503, but for what Redis remembers."""
    if broken := always(answer):
        return broken
    if answer.kind == "ready" and (answer.status, answer.checks.get("postgres")) != (503, "down"):
        return f"readiness says {answer.status}, Postgres {answer.checks.get('postgres')}"
    if answer.kind in ("buy", "read") and answer.status != 503:
        return f"{answer.status} {answer.code}"
    if answer.kind == "repeat" and answer.status != 503 and not answer.replayed:
        return f"{answer.status} {answer.code} without being a replay"
    return None


def without(server: str) -> Rule:
    """Without NATS or Redis everything is answered as ever, and readiness tells which is away."""

    def rule(answer: Answer) -> str | None:
        if broken := always(answer) or _served(answer):
            return broken
        if answer.kind == "ready" and not _says_degraded(answer, server):
            return f"readiness says {answer.status} {answer.state}, {dict(answer.checks)}"
        return None

    return rule


def clocks_apart(answer: Answer) -> str | None:
    """Tokens are judged by a wrong clock; all else is answered as ever."""
    if answer.kind == "fresh token":
        right = (answer.status, answer.code) == (401, "UNAUTHENTICATED")
        return None if right else f"{answer.status} {answer.code}"
    if broken := always(answer) or _served(answer):
        return broken
    return f"readiness says {answer.status}" if answer.kind == "ready" and answer.status != 200 else None


def _served(answer: Answer) -> str | None:
    if answer.kind in ("live", "ready") or _of_the_platform(answer):
        return None
    # 409: the merchant has too many purchases open, or an earlier attempt under the key is still at work.
    served = answer.status in (200, 201) or (answer.kind == "buy" and answer.status == 409)
    return None if served else f"{answer.status} {answer.code}"


def _of_the_platform(answer: Answer) -> bool:
    """Whether the platform's stand-in was too slow, as it may be on a busy machine."""
    return answer.kind in ("buy", "repeat") and (answer.status, answer.code) == (502, "PLATFORM_ERROR")


def _says_degraded(answer: Answer, server: str) -> bool:
    wanted = {"postgres": "up", "redis": "up", "nats": "up", server: "down"}
    return answer.status == 200 and answer.state == "degraded" and dict(answer.checks) == wanted
