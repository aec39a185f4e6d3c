"""What came of an operator's act on a purchase, or of asking its platform."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing_cli.platform_trouble import sentence, trouble_document
from billing_cli.terminal import Row
from billing_core.domain.events import Change, Price, TrialConverted
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import BillingError, PlatformError
from billing_core.use_cases.ask_platforms import PlatformAnswer
from billing_core.use_cases.check_purchases import Finding

COLUMNS = ("purchase", "merchant", "before", "after", "the platform says", "announced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A purchase as it was, and what became of it."""

    purchase: Purchase
    changes: Sequence[Change]

    @property
    def status_before(self) -> str:
        """Its status before, as storage had it when it was changed."""
        return next((each.status_before for each in self._own if each.status_before), self.purchase.status.value)

    @property
    def status_after(self) -> str:
        """Its status now."""
        return self._own[-1].status_after if self._own else self.purchase.status.value

    @property
    def review_reason(self) -> str | None:
        """Why a person must look at it now, or None."""
        reason = self.purchase.review.reason
        for change in self._own:
            if change.what == "needs_review":
                reason = change.reason
            elif change.what in ("completed", "dismissed"):
                reason = None
        return reason

    @property
    def announced(self) -> Sequence[str]:
        """The types of the events about it, short, in order."""
        facts = [each.fact for each in self.changes if self._is_about_it(each)]
        return [fact.type.removeprefix("evt.billing.") for fact in facts if fact is not None]

    def after(self) -> str:
        """Its status now, and whether a person must look, as people read it."""
        return self.status_after if self.review_reason is None else f"{self.status_after}, needs review"

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "id": str(self.purchase.purchase_id),
            "merchant_id": self.purchase.merchant_id,
            "platform": self.purchase.platform,
            "status_before": self.status_before,
            "status_after": self.status_after,
            "needs_review": self.review_reason is not None,
            "review_reason": self.review_reason,
            "changes": [each.what for each in self._own],
            "announced": [f"evt.billing.{each}" for each in self.announced],
        }

    @property
    def _own(self) -> Sequence[Change]:
        return [each for each in self.changes if each.subject_id == self.purchase.purchase_id]

    def _is_about_it(self, change: Change) -> bool:
        if isinstance(change.fact, TrialConverted):
            return change.fact.purchase_id == self.purchase.purchase_id
        return change.subject_id == self.purchase.purchase_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What came of asking about many purchases; `stopped` is what kept the rest from being asked about."""

    findings: Sequence[Finding]
    stopped: BillingError | None = None

    @property
    def failed(self) -> bool:
        """Whether some could not be asked about or settled."""
        return self.stopped is not None or any(_failed(each) for each in self.findings)

    def rows(self) -> Sequence[Row]:
        """Each purchase as a row of COLUMNS."""
        return [_row(each) for each in self.findings]

    def summary(self) -> dict[str, int]:
        """It in figures."""
        outcomes = [(_outcome(each), _failed(each)) for each in self.findings]
        return {
            "asked": len(outcomes),
            "changed": sum(bool(outcome.changes) for outcome, _ in outcomes),
            "unchanged": sum(not outcome.changes and not failed for outcome, failed in outcomes),
            "need_review": sum(outcome.review_reason is not None for outcome, _ in outcomes),
            "failed": sum(failed for _, failed in outcomes),
        }

    def troubles(self) -> Sequence[str]:
        """What went wrong, each once, with its remedy and how many purchases it kept."""
        texts = Counter(_trouble(each) for each in self.findings if _failed(each))
        lines = [text if many == 1 else f"{text} ({many} purchases)" for text, many in texts.items()]
        return lines if self.stopped is None else [*lines, f"{self.stopped.code}: {self.stopped} Not all were asked."]

    def reviewed(self) -> Sequence[Purchase]:
        """Those a person must look at now."""
        return [each.purchase for each in self.findings if _outcome(each).review_reason is not None]

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "data": [_document(each) for each in self.findings],
            "summary": self.summary(),
            "stopped": None if self.stopped is None else {"code": self.stopped.code, "detail": str(self.stopped)},
        }


def _outcome(found: Finding) -> Outcome:
    return Outcome(purchase=found.purchase, changes=found.changes)


def _failed(found: Finding) -> bool:
    return found.fault is not None or isinstance(found.answer, PlatformError)


def _trouble(found: Finding) -> str:
    if isinstance(found.answer, PlatformError):
        return sentence(found.answer)
    code = found.fault.code if isinstance(found.fault, BillingError) else "UNEXPECTED"
    return f"{code}: {found.purchase.purchase_id} cannot be settled: {type(found.fault).__name__}: {found.fault}"


def _row(found: Finding) -> Row:
    outcome = _outcome(found)
    return (
        found.purchase.purchase_id,
        found.purchase.merchant_id,
        outcome.status_before,
        outcome.after(),
        _said(found.answer),
        ", ".join(outcome.announced) or "nothing",
    )


def _said(answer: PlatformAnswer) -> str:
    if answer is None:
        return "no such checkout"
    if isinstance(answer, PlatformError):
        return f"no answer: {answer.detail}"
    parts = [answer.status.value if answer.price is None else f"{answer.status} {answer.price}"]
    if answer.refunded_minor:
        parts.append(f"refunded {_refunded(answer)}")
    if answer.dispute not in (None, DisputeStatus.NONE):
        parts.append(f"dispute {answer.dispute}")
    return ", ".join(parts)


def _refunded(report: PaymentReport) -> object:
    minor = report.refunded_minor or 0
    return minor if report.price is None else Money(amount_minor=minor, currency=report.price.currency)


def _document(found: Finding) -> dict[str, Any]:
    answer, fault = found.answer, found.fault
    trouble = trouble_document(answer) if isinstance(answer, PlatformError) else None
    if fault is not None:
        code = fault.code if isinstance(fault, BillingError) else "UNEXPECTED"
        trouble = {"code": code, "detail": f"{type(fault).__name__}: {fault}"}
    said = _report_document(answer) if isinstance(answer, PaymentReport) else None
    return {**_outcome(found).document(), "platform_says": said, "error": trouble}


def _report_document(report: PaymentReport) -> dict[str, Any]:
    return {
        "platform_reference": report.platform_reference,
        "status": report.status.value,
        "price": None if report.price is None else Price.of(report.price).model_dump(mode="json"),
        "refunded_minor": report.refunded_minor,
        "dispute": report.dispute,
    }
