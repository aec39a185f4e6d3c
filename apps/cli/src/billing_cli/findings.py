"""What a check found, and the remedy where there is something to mend."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's finding."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str | None = None


def ok(check: str, detail: str) -> Finding:
    """Nothing to mend."""
    return Finding(check=check, verdict="ok", detail=detail)


def warn(check: str, detail: str, remedy: str | None) -> Finding:
    """It works, and should be mended."""
    return Finding(check=check, verdict="warn", detail=detail, remedy=remedy)


def fail(check: str, detail: str, remedy: str | None) -> Finding:
    """It does not work, or may lose something."""
    return Finding(check=check, verdict="fail", detail=detail, remedy=remedy)


def grave(check: str, detail: str, remedy: str, *, production: bool) -> Finding:
    """What no production may have, and development may."""
    return fail(check, detail, remedy) if production else warn(check, detail, remedy)
