"""`billing doctor` names what may lose something, and how to mend it."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.apps.cli.conftest import Billing, Books, Sandbox, on_nats

from billing_adapters.embedded.binaries import find_programs
from billing_adapters.nats.advisories import SUBJECTS, ensure_advisories
from billing_adapters.nats.connection import NatsConnection

DEADLINE_S = 30.0


def findings(billing: Billing, check: str) -> list[dict[str, Any]]:
    """What the check found."""
    report = json.loads(billing("doctor", "--json").stdout)
    return [each for each in report["checks"] if each["check"] == check]


@contextmanager
def monitored_nats(folder: Path, sync_interval: str) -> Iterator[str]:
    """A NATS with its monitoring on; the URL of that."""
    lines = (
        "port: -1",
        'http: "127.0.0.1:-1"',
        f'ports_file_dir: "{folder}"',
        f'jetstream {{ store_dir: "{folder}", sync_interval: {sync_interval} }}',
    )
    (folder / "nats.conf").write_text("\n".join(lines))
    program = find_programs(frozenset({"nats"}))["nats"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(folder / "nats.conf")], stdout=log, stderr=log)
    try:
        yield _monitoring(folder)
    finally:
        process.terminate()
        process.wait()


def _monitoring(folder: Path) -> str:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for ports in folder.glob("*.ports"):
            if text := ports.read_text():
                return str(json.loads(text)["monitoring"][0])
        time.sleep(0.02)
    pytest.fail((folder / "log").read_text())


class TestRedaction:
    """Whether shops that are gone can be redacted, and known again."""

    @pytest.mark.parametrize(
        ("key", "used", "verdict"),
        [
            ("a" * 32, None, "ok"),
            (None, None, "warn"),
            ("a" * 32, "of-another-key", "fail"),
            (None, "of-another-key", "fail"),
        ],
    )
    async def test_its_key_is_there_and_the_one_that_was_used(
        self, billing: Billing, sandbox: Sandbox, key: str | None, used: str | None, verdict: str
    ) -> None:
        """With what to do where it is not."""
        billing.environment["BILLING_REDACTION_KEY"] = key
        if used is not None:
            await sandbox.execute(
                "insert into privacy_records (record_id, at, what, platform, actor, reason, key_id)"
                " values (gen_random_uuid(), now(), 'redacted', 'sandbox', 'a', '', $1)",
                used,
            )

        (found,) = findings(billing, "redaction")

        assert found["verdict"] == verdict
        assert (found["remedy"] is None) == (verdict == "ok")


class TestDoctor:
    @pytest.mark.usefixtures("streams")
    def test_a_healthy_deployment_passes(self, billing: Billing) -> None:
        """With everything there, no check fails."""
        report = billing.json("doctor")

        assert report["healthy"] is True
        verdicts = {each["check"]: each["verdict"] for each in report["checks"]}
        assert {
            name: verdicts[name] for name in ("postgres", "postgres role", "schema", "redis", "nats", "streams")
        } == (dict.fromkeys(("postgres", "postgres role", "schema", "redis", "nats", "streams"), "ok"))
        assert verdicts["postgres durability"] == "warn"  # the test servers do not sync

    def test_missing_schema_and_streams_fail_with_their_remedy(self, billing: Billing, empty_database_url: str) -> None:
        """What is missing is named together with the command that mends it."""
        billing.environment["BILLING_DATABASE_URL"] = empty_database_url

        result = billing("doctor")

        assert result.exit_code == 1
        assert "fail  schema" in result.stdout
        assert "billing db upgrade" in result.stdout
        assert "fail  streams" in result.stdout


@pytest.mark.usefixtures("streams")
class TestPostgres:
    @pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
    @pytest.mark.parametrize(("env", "verdict"), [("development", "warn"), ("production", "fail")])
    def test_a_server_that_forgets_commits_is_told(
        self, billing: Billing, setting: str, env: str, verdict: str
    ) -> None:
        """Development may, production may not; each with what to set."""
        billing.environment["BILLING_DATABASE_URL"] += "&synchronous_commit=off"  # type: ignore[operator]  # is set
        billing.environment |= PRODUCTION if env == "production" else {}

        found = [each for each in findings(billing, "postgres durability") if setting in each["detail"]]

        assert [each["verdict"] for each in found] == [verdict]
        assert f"set {setting} = on" in found[0]["remedy"]

    @pytest.mark.usefixtures("books")
    @pytest.mark.parametrize(("age_s", "verdict"), [(0, "ok"), (60, "warn"), (600, "fail")])
    async def test_events_that_wait_too_long_are_told(
        self, billing: Billing, sandbox: Sandbox, age_s: int, verdict: str
    ) -> None:
        """How many there are, for how long, and what sends them."""
        await sandbox.execute("update outbox set recorded_at = now() - make_interval(secs => $1)", age_s)

        (found,) = findings(billing, "outbox")

        assert (found["verdict"], found["detail"].startswith("4 event(s)")) == (verdict, True)
        assert age_s == 0 or "relay-events" in found["remedy"]

    def test_a_parked_message_is_told_until_somebody_sees_to_it(self, billing: Billing, books: Books) -> None:
        """With the commands that do."""
        (before,) = findings(billing, "parked")
        billing.json("parked", "drop", str(books.parked_id), "--reason", "a test system", "--yes")
        (after,) = findings(billing, "parked")

        assert (before["verdict"], after["verdict"]) == ("warn", "ok")
        assert "billing parked list" in before["remedy"]


@pytest.mark.usefixtures("streams")
class TestNats:
    @pytest.mark.parametrize(
        ("sync_interval", "env", "verdict"),
        [("always", "production", "ok"), ("2m", "production", "fail"), ("2m", "development", "warn")],
    )
    def test_whether_the_disk_is_told_first_is_read_from_the_monitoring(
        self, billing: Billing, tmp_path: Path, sync_interval: str, env: str, verdict: str
    ) -> None:
        """It stands nowhere else; with what to set where it is not so."""
        billing.environment |= PRODUCTION if env == "production" else {}
        with monitored_nats(tmp_path, sync_interval) as url:
            billing.environment["BILLING_NATS_MONITOR_URL"] = url

            (found,) = findings(billing, "jetstream sync")

        assert found["verdict"] == verdict
        assert verdict == "ok" or "sync_interval: always" in found["remedy"]

    def test_monitoring_that_cannot_be_read_is_told_as_unknown(self, billing: Billing) -> None:
        """Not as well, and not as wrong: with where to look."""
        billing.environment["BILLING_NATS_MONITOR_URL"] = "http://127.0.0.1:1"

        (found,) = findings(billing, "jetstream sync")

        assert (found["verdict"], "not known" in found["detail"]) == ("warn", True)
        assert "BILLING_NATS_MONITOR_URL" in found["remedy"]

    def test_a_message_given_up_is_told(self, billing: Billing, nats_url: str) -> None:
        """By its place in its stream; before there is anything to see it in, that is told."""
        advisory = {"stream": "MERCHANT", "consumer": "c", "stream_seq": 7, "deliveries": 3, "timestamp": "t"}

        async def give_up(connection: NatsConnection) -> None:
            await connection.jetstream.publish(SUBJECTS[0], json.dumps(advisory).encode())

        (unknown,) = findings(billing, "given up")
        on_nats(nats_url, ensure_advisories)
        (none,) = findings(billing, "given up")
        on_nats(nats_url, give_up)
        (one,) = findings(billing, "given up")

        assert [each["verdict"] for each in (unknown, none, one)] == ["warn", "ok", "fail"]
        assert "MERCHANT 7 of c at t" in one["detail"]
        assert "max_deliver" in one["remedy"]


PRODUCTION = {
    "BILLING_ENV": "production",
    "BILLING_PLATFORMS": "shopify",
    "BILLING_SHOPIFY_ACCESS_TOKEN": "shpat_sample",
    "BILLING_JWT_SECRET": "sample-" * 6,
}
