"""Known vulnerabilities of what is pinned, asked for with pip-audit. Where nobody answers, that is said."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supply_chain.accepted import Accepted

SERVICES = ("osv", "pypi")
# Known to everybody who knows anything: whoever does not tell of it is no advisory service, whatever it answers.
CANARY = "jinja2==2.10"
AT_ONCE = 4
_PATIENCE_S = 5  # for one answer


class NoAnswer(Exception):
    """Nobody told anything in time."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One advisory about one pin."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    mended_in: tuple[str, ...]

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        """The package with each name of the advisory."""
        return frozenset((self.package, name) for name in (self.id, *self.aliases))

    def __str__(self) -> str:
        names = ", ".join((self.id, *self.aliases))
        return f"{self.package} {self.version}: {names}; mended in {', '.join(self.mended_in) or 'no release yet'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a service said about every pin."""

    service: str
    asked: int
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]  # what the service does not know: told, never taken for sound


def audit(pins: Sequence[str], *, within_s: float, osv_url: str | None = None) -> Audit:
    """This will ask the first service that proves that it knows advisories about every pin (`name==version`); the
    one at `osv_url` alone, where it is given.

    Raises NoAnswer, with each service's reason, where none does within the time.
    """
    deadline_s = time.monotonic() + within_s
    reasons = []
    for service in SERVICES if osv_url is None else ("osv",):
        try:
            canary = _ask(service, [CANARY], deadline_s, osv_url)
            if not _findings(canary):
                raise NoAnswer(f"knows nothing of {CANARY}, which is known to be vulnerable")
            told = _ask_all(service, pins, deadline_s, osv_url)
        except NoAnswer as why:
            reasons.append(f"{service}: {why}")
            continue
        skipped = (each["name"] for each in told if "skip_reason" in each)
        findings = tuple(sorted(_findings(told)))
        return Audit(service=service, asked=len(pins), findings=findings, unknown=tuple(sorted(skipped)))
    raise NoAnswer("\n".join(reasons))


def not_accepted(findings: Iterable[Finding], accepted: Iterable[Accepted]) -> Sequence[Finding]:
    """The findings that nobody accepted."""
    known = {(each.package, each.id) for each in accepted}
    return [each for each in findings if known.isdisjoint(each.names)]


def not_found(findings: Iterable[Finding], accepted: Iterable[Accepted]) -> Sequence[Accepted]:
    """What was accepted and is not found any more."""
    found = {name for each in findings for name in each.names}
    return [each for each in accepted if (each.package, each.id) not in found]


def _ask_all(service: str, pins: Sequence[str], deadline_s: float, osv_url: str | None) -> Sequence[Any]:
    # pip-audit asks one after the other, and takes each package once: two versions of one go to different runs.
    batches = [pins[start::AT_ONCE] for start in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [pool.submit(_ask, service, batch, deadline_s, osv_url) for batch in batches if batch]
        told = [each for answer in answers for each in answer.result()]
    if len(told) != len(pins):
        raise NoAnswer(f"told of {len(told)} pins, asked about {len(pins)}")
    return told


def _ask(service: str, pins: Sequence[str], deadline_s: float, osv_url: str | None) -> Sequence[Any]:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise NoAnswer("not asked, the time is over")
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text("\n".join(pins) + "\n", encoding="utf-8")
        try:
            done = subprocess.run(
                _command(service, wanted, osv_url), capture_output=True, text=True, timeout=left_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise NoAnswer("did not answer in time") from None
    try:
        dependencies: Sequence[Any] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise NoAnswer(_last_line(done.stderr)) from None
    return dependencies


def _command(service: str, wanted: Path, osv_url: str | None) -> Sequence[str]:
    # The versions are taken as they are: nothing is resolved, downloaded or installed.
    as_pinned = ["--requirement", str(wanted), "--no-deps", "--disable-pip"]
    told = ["--format", "json", "--desc", "off", "--progress-spinner", "off", "--timeout", str(_PATIENCE_S)]
    where = ["--vulnerability-service", service, *(["--osv-url", osv_url] if osv_url else [])]
    return [sys.executable, "-m", "pip_audit", *as_pinned, *told, *where]


def _findings(dependencies: Iterable[Any]) -> Iterable[Finding]:
    return [
        Finding(
            package=each["name"],
            version=each["version"],
            id=advisory["id"],
            aliases=tuple(advisory.get("aliases", ())),
            mended_in=tuple(advisory["fix_versions"]),
        )
        for each in dependencies
        for advisory in each.get("vulns", ())
    ]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "said nothing"
