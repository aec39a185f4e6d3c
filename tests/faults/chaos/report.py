"""What a person reads of a run: one line while it goes on, and the figures and broken rules at the end."""

from collections.abc import Iterator
from typing import Any

from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.run import Plan, Run, Verdict

from billing_core.domain.events import CreditsPurchased

SHOWN_VIOLATIONS = 20


def progress(run: Run) -> str:
    """How far the run is, in a line."""
    chronicle = run.chronicle
    faults, answers = chronicle.counted("faults").total(), chronicle.counted("answers")
    bought = sum(many for what, many in answers.items() if what.startswith("201"))
    return (
        f"{chronicle.at_s:6.1f} s  {run.phase:<11} {faults:>4} faults  {answers.total():>6} requests "
        f"{bought:>6} made  {run.events:>6} events"
    )


def report(plan: Plan, chronicle: Chronicle, verdict: Verdict) -> str:
    """The report of a run."""
    return "\n".join(_lines(plan, chronicle, verdict))


def figures(chronicle: Chronicle, verdict: Verdict) -> dict[str, Any]:
    """What programs read of a run: the last entry of its history."""
    evidence = verdict.evidence
    return {
        "violations": len(verdict.violations),
        "faults": chronicle.counted("faults").total(),
        "kills_and_pauses": kills_and_pauses(chronicle),
        "requests": chronicle.counted("answers").total(),
        "purchases": len(evidence.purchases),
        "paid": sum(each.is_paid for each in evidence.purchases),
        "late": sum(each.late for each in evidence.purchases),
        "events": len(evidence.published),
        "parked": len(evidence.parked),
        "drained_after_s": verdict.drained_after_s,
        "balances": None if verdict.balances is None else len(verdict.balances),
    }


def kills_and_pauses(chronicle: Chronicle) -> int:
    """How many processes were killed or stopped."""
    return sum(many for what, many in chronicle.counted("faults").items() if what.startswith(("kill", "pause")))


def _lines(plan: Plan, chronicle: Chronicle, verdict: Verdict) -> Iterator[str]:
    evidence = verdict.evidence
    paid = sum(each.is_paid for each in evidence.purchases)
    announced = len(evidence.facts.get(CreditsPurchased, ()))
    drained_after_s = verdict.drained_after_s
    drained = "not in time" if drained_after_s is None else f"{drained_after_s:.1f} s after healing"
    processes = f"{plan.http} HTTP, {plan.workers} workers, {plan.clients} clients"
    yield f"chaos: seed {plan.seed}, {plan.seconds:g} s, {processes}"
    if plan.defect:
        yield f"  built wrong on purpose: {plan.defect}"
    yield f"  faults      {chronicle.counted('faults').total()} ({kills_and_pauses(chronicle)} kills and pauses)"
    for topic in ("faults", "answers", "payers", "load"):
        if counted := chronicle.counted(topic):
            yield f"  {topic:<11} " + ", ".join(f"{what} {many}" for what, many in sorted(counted.items()))
    late = sum(each.late for each in evidence.purchases)
    yield (
        f"  purchases   {len(evidence.purchases)}, paid {paid} ({late} late), announced {announced};"
        f" trials {len(evidence.trials)}, merchants {len(evidence.shops)}"
    )
    yield f"  events      {len(evidence.published)}, parked {len(evidence.parked)} (poison)"
    if verdict.balances is not None:
        credits_ = sum(verdict.balances.values())
        yield f"  credits     {credits_} of {len(verdict.balances)} merchants at the Credit Service"
    yield f"  drained     {drained}"
    yield (
        f"  throughput  {chronicle.counted('answers').total() / verdict.load_s:.0f} requests/s,"
        f" {len(evidence.purchases) / verdict.load_s:.1f} purchases/s under faults"
    )
    yield f"  history     {chronicle.path}"
    yield f"  violations  {len(verdict.violations)}"
    for each in verdict.violations[:SHOWN_VIOLATIONS]:
        yield f"    - {each}"
    if len(verdict.violations) > SHOWN_VIOLATIONS:
        yield f"    … {len(verdict.violations) - SHOWN_VIOLATIONS} more in the history"
