"""A trial as operators see it, what came of their acts on it, and what they may do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from billing_cli.terminal import moment
from billing_core.domain.events import rfc3339
from billing_core.use_cases.operate_trials import TrialOutcome
from billing_core.views import TrialView


def advice(trial: TrialView) -> Sequence[str]:
    """The commands a person may type next; none before the first trial, which the merchant starts itself."""
    name = trial.merchant_id
    if trial.status == "active":
        return [
            f'billing trials extend {name} --days 7 --reason "…"   # a later end',
            f'billing trials end {name} --reason "…"   # ends it now',
        ]
    if trial.status == "available":
        return []
    return [f'billing trials regrant {name} --reason "…"   # another trial for its shop']


def question(act: str, outcome: TrialOutcome) -> str:
    """What a person is asked before it is done."""
    trial, before = outcome.trial, outcome.before
    if before is None:
        return f"Give the shop of {trial.merchant_id} another trial, {trial.credits} credits {_until(outcome)}?"
    if act == "extend":
        return f"Extend the trial of {trial.merchant_id} from {moment(before.ends_at)} to {moment(trial.ends_at)}?"
    return f"End the trial of {trial.merchant_id} now, which would run {_until(outcome)}?"


def facts(outcome: TrialOutcome) -> Mapping[str, object]:
    """What came of it, for people."""
    trial, before = outcome.trial, outcome.before
    return {
        "before": "-" if before is None else f"{before.status}, until {moment(before.ends_at)}",
        "after": f"{trial.status}, until {moment(trial.ended_at or trial.ends_at)}",
        "credits": trial.credits,
        "announced": ", ".join(each.removeprefix("evt.billing.") for each in announced(outcome)),
    }


def document(outcome: TrialOutcome, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs. A trial that a dry run would have started has no id."""
    trial, before = outcome.trial, outcome.before
    return {
        "id": None if dry_run and before is None else str(trial.trial_id),
        "merchant_id": trial.merchant_id,
        "credits": trial.credits,
        "status_before": None if before is None else before.status.value,
        "status_after": trial.status.value,
        "ends_at_before": None if before is None else rfc3339(before.ends_at),
        "ends_at_after": rfc3339(trial.ended_at or trial.ends_at),
        "changes": [each.what for each in outcome.changes],
        "announced": announced(outcome),
    }


def announced(outcome: TrialOutcome) -> list[str]:
    """The types of the events, in order."""
    return [each.fact.type for each in outcome.changes if each.fact is not None]


def _until(outcome: TrialOutcome) -> str:
    return f"until {moment(outcome.trial.ends_at)}"
