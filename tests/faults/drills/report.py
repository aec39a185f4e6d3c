"""What a person reads of the drills: lines while they go on, and a table at the end."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.drills.run import Outcome, Plan, Run, Verdict

SHOWN_VIOLATIONS = 20
HEAD = ("drill", "asked", "health", "slowest", "ready", "drained", "bought", "violations")


def progress(run: Run) -> str:
    """How far the drills are, in a line."""
    answers = run.chronicle.counted("answers").total()
    return f"{run.chronicle.at_s:6.1f} s  {run.phase:<22} {answers:>6} answers"


def report(plan: Plan, verdict: Verdict, cannot: Mapping[str, str]) -> str:
    """The report of a run; `cannot` is why the drills this machine does not let us do were not done."""
    return "\n".join(_lines(plan, verdict, cannot))


def figures(verdict: Verdict, cannot: Mapping[str, str]) -> dict[str, Any]:
    """What programs read of a run: the last entry of its history."""
    return {
        "violations": len(verdict.violations),
        "purchases": len(verdict.evidence.purchases),
        "paid": sum(each.is_paid for each in verdict.evidence.purchases),
        "events": len(verdict.evidence.published),
        "cannot": dict(cannot),
        "drills": {each.name: _figures(each) for each in verdict.outcomes},
    }


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "answered": dict(outcome.stage.answered),
        "slowest_s": round(outcome.stage.slowest_s, 3),
        "ready_after_s": outcome.ready_after_s,
        "drained_after_s": outcome.drained_after_s,
        "bought": outcome.bought,
        "violations": len(outcome.violations),
    }


def _lines(plan: Plan, verdict: Verdict, cannot: Mapping[str, str]) -> Iterator[str]:
    evidence = verdict.evidence
    yield f"drills: seed {plan.seed}, {plan.seconds:g} s each, {plan.http} HTTP, {plan.workers} workers"
    rows = [HEAD, *(_row(each) for each in verdict.outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield "  asked: answers to requests by status, while it was away; bought: before / during / after"
    for name, why in cannot.items():
        yield f"  {name}: NOT DONE, this machine cannot: {why}"
    paid = sum(each.is_paid for each in evidence.purchases)
    yield f"  purchases {len(evidence.purchases)}, paid {paid}; events {len(evidence.published)}"
    yield f"  violations {len(verdict.violations)}"
    for each in verdict.violations[:SHOWN_VIOLATIONS]:
        yield f"    - {each}"
    if len(verdict.violations) > SHOWN_VIOLATIONS:
        yield f"    … {len(verdict.violations) - SHOWN_VIOLATIONS} more in the history"


def _row(outcome: Outcome) -> tuple[str, ...]:
    stage = outcome.stage
    return (
        outcome.name,
        _by_status(stage.answered, ("buy", "repeat", "read", "fresh token")),
        _by_status(stage.answered, ("live", "ready")),
        f"{stage.slowest_s:.2f} s",
        _seconds(outcome.ready_after_s),
        _seconds(outcome.drained_after_s),
        "/".join(str(each) for each in outcome.bought),
        str(len(outcome.violations)),
    )


def _by_status(answered: Counter[str], kinds: tuple[str, ...]) -> str:
    by_status: Counter[str] = Counter()
    for label, many in answered.items():
        kind, _, status = label.rpartition(" ")
        if kind in kinds:
            by_status[status] += many
    return " ".join(f"{status}:{many}" for status, many in sorted(by_status.items()))


def _seconds(seconds: float | None) -> str:
    return "not in time" if seconds is None else f"{seconds:.1f} s"
