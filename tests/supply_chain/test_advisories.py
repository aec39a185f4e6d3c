"""Known vulnerabilities: found ones fail, accepted ones run out, and silence is never taken for soundness."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from supply_chain.__main__ import main
from supply_chain.accepted import Accepted, read_accepted
from supply_chain.advisories import CANARY, Finding, NoAnswer, audit, not_accepted, not_found

TODAY = date(2026, 12, 1)
LONG_S = 60.0
Known = Mapping[str, str]
CANARY_KNOWN = {CANARY: "PYSEC-2019-217"}


@contextmanager
def osv(
    known: Known, *, status: int = 200, then: int = 200, wait: Callable[[], object] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A service on this machine that speaks OSV's protocol, and what it was asked. It answers the canary with `status`,
    and `then` everything else."""
    asked: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pin = f"{query['package']['name']}=={query['version']}"
            asked.append(pin)
            if wait is not None and pin != CANARY:
                wait()
            body = json.dumps(_answer(query["package"]["name"], known[pin]) if pin in known else {}).encode()
            self.send_response(status if pin == CANARY else then)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(name: str, advisory: str) -> Mapping[str, Any]:
    package = {"name": name, "ecosystem": "PyPI"}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
    affected = [{"package": package, "ranges": ranges}]
    return {"vulns": [{"id": advisory, "aliases": ["CVE-2099-1"], "summary": "bad", "affected": affected}]}


def test_every_pin_is_asked_about_and_what_is_known_is_told() -> None:
    """Two versions of one package too; a finding names the package, the advisory and the release that mends it."""
    pins = ["idna==3.10", "numpy==1.0", "numpy==2.0", "starlette==0.1", "typer==0.1", "mypy==1.0"]
    with osv(CANARY_KNOWN | {"numpy==1.0": "PYSEC-2099-1"}) as (url, asked):
        done = audit(pins, within_s=LONG_S, osv_url=url)

    assert sorted(asked) == sorted([CANARY, *pins])
    assert (done.service, done.asked, done.unknown) == ("osv", 6, ())
    assert [str(each) for each in done.findings] == ["numpy 1.0: PYSEC-2099-1, CVE-2099-1; mended in 99"]


def test_a_service_that_finds_nothing_wrong_with_what_is_known_to_be_is_not_believed() -> None:
    """An index or a proxy that says yes to everything is no advisory service."""
    with osv({}) as (url, asked), pytest.raises(NoAnswer, match="known to be vulnerable"):
        audit(["idna==3.10"], within_s=LONG_S, osv_url=url)

    assert asked == [CANARY]


def test_a_service_in_trouble_is_no_answer() -> None:
    """500 is not `no advisories`."""
    with osv(CANARY_KNOWN, status=500) as (url, _), pytest.raises(NoAnswer, match="osv: "):
        audit(["idna==3.10"], within_s=LONG_S, osv_url=url)


def test_a_service_that_falls_over_later_is_no_answer() -> None:
    """It knew the canary, and of the rest it said nothing."""
    with osv(CANARY_KNOWN, then=503) as (url, asked), pytest.raises(NoAnswer, match="osv: "):
        audit(["idna==3.10"], within_s=LONG_S, osv_url=url)

    assert asked == [CANARY, "idna==3.10"]


def test_a_service_that_takes_too_long_is_given_up() -> None:
    """The time is bounded: what is under way is ended."""
    never = threading.Event()
    with osv(CANARY_KNOWN, wait=never.wait) as (url, _):
        with pytest.raises(NoAnswer, match=r"did not answer in time|not asked, the time is over"):
            audit(["idna==3.10"], within_s=3.0, osv_url=url)
        never.set()


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, accepted: str = "") -> int:
    """This will run the command on two pins, with this file of accepted advisories."""
    lock, file = tmp_path / "some.lock", tmp_path / "accepted.toml"
    lock.write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\nstarlette==0.1 --hash=sha256:{'0' * 64}\n")
    file.write_text(accepted)
    monkeypatch.setattr("supply_chain.__main__.EVERYTHING", lock)
    monkeypatch.setattr("supply_chain.__main__.UV", lock)
    monkeypatch.setattr("supply_chain.__main__.read_accepted", lambda today: read_accepted(today, file))
    monkeypatch.setattr("sys.argv", ["supply_chain", "audit", "--within", "60", "--osv-url", url])
    return main()


def test_the_command_fails_on_what_nobody_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The finding and the remedy stand on stderr."""
    with osv(CANARY_KNOWN | {"starlette==0.1": "PYSEC-2099-2"}) as (url, _):
        code = run(monkeypatch, tmp_path, url)

    told = capsys.readouterr().err
    assert code == 1
    assert "starlette 0.1: PYSEC-2099-2" in told
    assert "script/lock --upgrade-package" in told


def test_the_command_passes_with_what_somebody_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By an alias too, until its day; what is not found any more is told."""
    until = date.fromordinal(date.today().toordinal() + 30)  # noqa: DTZ011 - days are enough
    entry = '[[accepted]]\nid = "{}"\npackage = "{}"\nreason = "not reached"\nuntil = {}\n'
    accepted = entry.format("CVE-2099-1", "starlette", until) + entry.format("PYSEC-1", "idna", until)
    with osv(CANARY_KNOWN | {"starlette==0.1": "PYSEC-2099-2"}) as (url, _):
        code = run(monkeypatch, tmp_path, url, accepted)

    told = capsys.readouterr().out
    assert code == 0
    assert "PYSEC-1 of idna is not found any more" in told
    assert "none of them open (osv)" in told


@pytest.mark.parametrize(("required", "code"), [("", 0), ("1", 1)])
def test_the_command_says_loudly_that_nobody_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], required: str, code: int
) -> None:
    """A notice with the reason, and a failure where an audit is required."""
    monkeypatch.setenv("BILLING_REQUIRE_AUDIT", required)

    assert run(monkeypatch, tmp_path, "http://127.0.0.1:1/v1/query") == code
    told = capsys.readouterr().out
    assert "NOT audited" in told
    assert "osv: " in told


def a_finding(package: str, *names: str) -> Finding:
    """A finding with an id and aliases."""
    return Finding(package=package, version="1", id=names[0], aliases=names[1:], mended_in=())


def test_an_acceptance_is_of_one_package() -> None:
    """The same advisory in another package is still open."""
    accepted = [Accepted(id="CVE-1", package="idna", reason="r", until=TODAY)]
    here, there = a_finding("idna", "PYSEC-1", "CVE-1"), a_finding("numpy", "PYSEC-1", "CVE-1")

    assert not_accepted([here, there], accepted) == [there]
    assert not_found([there], accepted) == accepted
    assert not_found([here], accepted) == []


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('id = "A"\npackage = "idna"\nreason = "r"\nuntil = 2026-11-30', "A ran out on 2026-11-30"),
        ('id = "A"\npackage = "idna"\nreason = "r"\nuntil = 2027-12-01', "reaches too far"),
        ('id = "A"\npackage = "idna"\nreason = ""\nuntil = 2026-12-30', "reason must be filled in"),
        ('id = "A"\npackage = "idna"\nuntil = 2026-12-30', "it must have"),
        ('id = "A"\npackage = "idna"\nreason = "r"\nuntil = "2026-12-30"', "until must be filled in"),
    ],
)
def test_an_acceptance_has_a_reason_and_an_end(tmp_path: Path, entry: str, told: str) -> None:
    """Not whole, run out or for ever: refused, with the number of the entry."""
    file = tmp_path / "accepted.toml"
    file.write_text(f"[[accepted]]\n{entry}\n")

    with pytest.raises(ValueError, match=f"entry 1: .*{told}"):
        read_accepted(TODAY, file)


def test_the_committed_file_can_be_read() -> None:
    """Its day has not come, and its example is only an example."""
    assert all(each.until >= TODAY for each in read_accepted(TODAY))
