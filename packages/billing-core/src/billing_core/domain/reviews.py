"""What a person must look at before Billing decides: the findings at a purchase, and those that were dismissed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from billing_core.errors import ResolutionRefused

REMEMBERED_FINDINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFinding:
    """Why a person must look at a purchase, and at which payment (a platform reference), where it is one."""

    reason: str
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The open `findings`, the oldest first, and the reasons `dismissed`, which ask for nobody again; of each the
    REMEMBERED_FINDINGS."""

    findings: tuple[ReviewFinding, ...] = ()
    dismissed: tuple[str, ...] = ()

    @property
    def reason(self) -> str | None:
        """Why a person must look first, or None where nobody must."""
        return self.findings[0].reason if self.findings else None

    @property
    def about(self) -> str | None:
        """The payment (a platform reference) the oldest finding is about, where it is about one."""
        return self.findings[0].about if self.findings else None

    def takes(self, reason: str) -> bool:
        """Whether a finding of this reason is new, and there is room for it."""
        known = {*(each.reason for each in self.findings), *self.dismissed}
        return reason not in known and len(self.findings) < REMEMBERED_FINDINGS

    def finding(self, reason: str | None) -> ReviewFinding:
        """The open finding of this reason (None: the oldest). Raises ResolutionRefused where there is none."""
        if not self.findings:
            raise ResolutionRefused("this purchase needs no review")
        found = [each for each in self.findings if reason in (None, each.reason)]
        if not found:
            raise ResolutionRefused("its review has changed meanwhile; look at it again")
        return found[0]

    def finding_about(self, platform_reference: str) -> ReviewFinding:
        """The oldest open finding about this payment, else the oldest. Raises ResolutionRefused where there is none."""
        about = (each.reason for each in self.findings if each.about == platform_reference)
        return self.finding(next(about, None))

    def adding(self, finding: ReviewFinding) -> "Review":
        """With one more finding, behind the others."""
        return replace(self, findings=(*self.findings, finding))

    def keeping(self, still_open: Callable[[ReviewFinding], bool]) -> "Review":
        """With the findings that are still open."""
        return replace(self, findings=tuple(filter(still_open, self.findings))) if self.findings else self

    def dismissing(self, finding: ReviewFinding) -> "Review":
        """Without the finding, whose reason asks for nobody again; the oldest such reason is forgotten."""
        left = self.keeping(lambda each: each != finding)
        return replace(left, dismissed=(*self.dismissed, finding.reason)[-REMEMBERED_FINDINGS:])


NO_REVIEW = Review()
