"""`python -m supply_chain`: the bill of materials, the licences, the advisories."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from supply_chain.accepted import FILE, read_accepted
from supply_chain.advisories import NoAnswer, audit, not_accepted, not_found
from supply_chain.licences import LIST, current_list
from supply_chain.lock import EVERYTHING, UV, read_lock
from supply_chain.sbom import current_sbom

AUDIT_WITHIN_S = 15.0
REQUIRE_AUDIT = "BILLING_REQUIRE_AUDIT"
EXAMPLE = """\
examples:
  script/sbom --output billing.cdx.json
  script/licences
  .venv/bin/python -m supply_chain audit --within 60
"""


def main() -> int:
    """This will do what was asked for and return the exit code."""
    told = _read_arguments()
    if told.act == "sbom":
        return _write_sbom(told.output)
    if told.act == "licences":
        return _licences(only_check=told.check)
    return _audit(told.within, told.osv_url)


def _write_sbom(output: Path | None) -> int:
    try:
        text = current_sbom(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    except KeyError as missing:
        return _refuse(f"{LIST.name} lacks {' '.join(missing.args[0])}", "run script/licences first")
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
    return 0


def _licences(*, only_check: bool) -> int:
    try:
        text = current_list()
    except ValueError as refused:
        return _refuse(str(refused), "take another package, or decide about it in supply_chain/licences.toml")
    if only_check and (not LIST.exists() or text != LIST.read_text("utf-8")):
        return _refuse(f"{LIST.name} is not what requirements.lock pins", "run script/licences and commit what changes")
    if not only_check:
        LIST.write_text(text, encoding="utf-8")
    return 0


def _audit(within_s: float, osv_url: str | None) -> int:
    try:
        accepted = read_accepted(datetime.now(UTC).date())
    except ValueError as refused:
        return _refuse(str(refused), f"look at it again in supply_chain/{FILE.name}")
    pins = [str(pin) for lock in (EVERYTHING, UV) for pin in read_lock(lock)]
    try:
        done = audit(pins, within_s=within_s, osv_url=osv_url)
    except NoAnswer as why:
        return _not_audited(len(pins), str(why))
    for name in done.unknown:
        _say(f"NOTICE: {done.service} does not know {name}, so it was not audited.")
    open_findings = not_accepted(done.findings, accepted)
    if open_findings:
        return _refuse("\n".join(map(str, open_findings)), "script/lock --upgrade-package NAME, or accepted.toml")
    for stale in not_found(done.findings, accepted):
        _say(f"NOTICE: {stale.id} of {stale.package} is not found any more: take it out of {FILE.name}.")
    _say(f"{done.asked} pins, {len(done.findings)} known advisories, none of them open ({done.service})")
    return 0


def _not_audited(pins: int, why: str) -> int:
    required = os.environ.get(REQUIRE_AUDIT) == "1"
    _say(f"NOTICE: nobody who knows advisories answered: the {pins} pins were NOT audited.")
    _say("\n".join(f"  {line}" for line in why.splitlines()))
    _say(f"  Run it where one answers; {REQUIRE_AUDIT}=1 makes this a failure.")
    return 1 if required else 0


def _refuse(what: str, remedy: str) -> int:
    sys.stderr.write(f"{what}\nmend with: {remedy}\n")
    return 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="supply_chain", epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    acts = parser.add_subparsers(dest="act", required=True)
    sbom = acts.add_parser("sbom", help="write the bill of materials, CycloneDX JSON")
    sbom.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    licences = acts.add_parser("licences", help="write docs/licences.md")
    licences.add_argument("--check", action="store_true", help="write nothing; fail where it is not right")
    audited = acts.add_parser("audit", help="ask for known vulnerabilities")
    audited.add_argument("--within", type=float, default=AUDIT_WITHIN_S, metavar="SECONDS", help="default: 15")
    audited.add_argument("--osv-url", metavar="URL", help="another service that speaks OSV's protocol")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
