"""The command line on a NATS with the shipped accounts: what works, and what is said where something is missing."""

import asyncio
import json
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import redis
from tests.adapters.nats.deployed import nats, running
from tests.apps.cli.conftest import Billing, Books
from tests.certificates import Authority
from tests.nats_deployment import DEPLOY, EVERYBODY_ELSE, NatsDeployment, make_streams

from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.nkeys import UserKey
from billing_adapters.nats.permissions import ADMIN, CLI, HTTP, WORKER, NatsUser
from billing_cli.transport_examination import examine_transport

__all__ = ["nats", "running"]  # fixtures

PRODUCTION: Final = {
    "BILLING_ENV": "production",
    "BILLING_PLATFORMS": "shopify",
    "BILLING_SHOPIFY_ACCESS_TOKEN": "shpat_sample",
    "BILLING_JWT_SECRET": "sample-" * 6,
}


@pytest.fixture
def operator(billing: Billing, nats: NatsDeployment) -> Iterator[Billing]:
    """The command with the operator's key, on streams an admin made."""
    _run(make_streams(nats))
    become(billing, nats, ADMIN)
    assert billing("nats", "upgrade").exit_code == 0
    become(billing, nats, CLI)
    yield billing
    _run(_delete_streams(nats))


def become(billing: Billing, nats: NatsDeployment, user: NatsUser) -> None:
    """This will give the command the user's key."""
    billing.environment |= nats.environment(user)


def findings(billing: Billing, check: str, *options: str) -> list[dict[str, Any]]:
    """What the doctor's check found."""
    report = json.loads(billing("doctor", *options, "--json").stdout)
    return [each for each in report["checks"] if each["check"] == check]


class TestUpgrade:
    def test_the_admin_makes_what_is_missing_and_a_dry_run_tells_it(
        self, billing: Billing, nats: NatsDeployment
    ) -> None:
        """Our stream, the advisories and our consumers, on the streams of other services."""
        _run(make_streams(nats))
        _run(_delete_streams(nats, "BILLING", "BILLING_ADVISORIES"))
        become(billing, nats, ADMIN)

        before = billing.json("nats", "upgrade", "--dry-run")
        again = billing.json("nats", "upgrade", "--dry-run")
        done = billing.json("nats", "upgrade")
        _run(_delete_streams(nats))

        assert before == again
        assert [each.split(" is missing")[0] for each in before["left"]] == [
            "The stream BILLING",
            "The consumer billing-merchant-created of MERCHANT",
            "The consumer billing-purchase-updated of WEBHOOK",
        ]
        assert done == {"dry_run": False, "left": []}

    def test_what_is_left_is_told_and_the_exit_code_says_so(self, billing: Billing, nats: NatsDeployment) -> None:
        """The streams of other services are theirs to make."""
        become(billing, nats, ADMIN)

        result = billing("nats", "upgrade")
        _run(_delete_streams(nats))

        assert result.exit_code == 1
        assert "The stream MERCHANT is missing" in result.stdout

    def test_others_may_not(self, operator: Billing, nats: NatsDeployment) -> None:
        """With a worker's key it does not even hear answers, and says so."""
        become(operator, nats, WORKER)

        result = operator("nats", "upgrade")

        assert result.exit_code == 1
        assert result.stderr.startswith("BROKER_DENIED: NATS does not permit Billing to subscribe")


class TestNewKey:
    def test_the_seed_is_in_the_file_and_the_public_key_on_the_screen(self, lone_billing: Billing) -> None:
        """Only its owner may read the file."""
        shown = lone_billing.json("nats", "new-key", "worker.nk")
        seed = Path("worker.nk").read_text().strip()

        assert UserKey.from_seed(seed).public == shown["public_key"]
        assert stat.S_IMODE(Path("worker.nk").stat().st_mode) == 0o600
        assert seed not in str(shown)

    def test_a_file_that_is_there_is_left_alone(self, lone_billing: Billing) -> None:
        """It may be the key of something that runs."""
        lone_billing.json("nats", "new-key", "worker.nk")
        before = Path("worker.nk").read_text()

        result = lone_billing("nats", "new-key", "worker.nk")

        assert (result.exit_code, Path("worker.nk").read_text()) == (1, before)
        assert result.stderr.startswith("CANNOT_WRITE")

    def test_it_is_not_shown_with_the_configuration(self, lone_billing: Billing) -> None:
        """Nor where it comes from a file."""
        lone_billing("nats", "new-key", "worker.nk")
        lone_billing.environment["BILLING_NATS_NKEY_SEED_FILE"] = "worker.nk"

        shown = lone_billing.json("config", "show")["BILLING_NATS_NKEY_SEED"]

        assert shown == {"value": "********", "source": "file worker.nk"}


class TestDoctor:
    def test_the_shipped_accounts_are_enough(self, operator: Billing) -> None:
        """Everything is examined, and nothing is missing."""
        report = operator.json("doctor")

        assert report["healthy"] is True
        verdicts = {each["check"]: each["verdict"] for each in report["checks"]}
        wanted = ("nats", "nats transport", "nats permissions", "streams", "given up", "jetstream sync")
        assert {name: verdicts[name] for name in wanted} == dict.fromkeys(wanted, "ok")

    @pytest.mark.parametrize("subject", list(CLI.publishes))
    def test_a_missing_permission_is_named_with_the_line_to_add(
        self, operator: Billing, nats: NatsDeployment, subject: str
    ) -> None:
        """The line stands in the shipped file under the user named. Where we may not even ask what we may, that is the
        line, and the rest is examined all the same."""
        nats.permit(without=f'"{subject}"', user=CLI)

        result = operator("doctor", "--json")
        told = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "nats permissions"]

        assert len(told) == 1
        assert subject in told[0]["detail"]
        quoted = re.findall(r'Add "(.+?)" \((.+)\) to publish.allow of the user (\S+) in (\S+)\.$', told[0]["remedy"])
        assert [(line, user) for line, _, user, _ in quoted] == [(subject, "billing-cli")]
        assert f'"{subject}"  # {quoted[0][1]}' in (DEPLOY / "accounts.conf").read_text("utf-8")
        unknown = subject == "$SYS.REQ.USER.INFO"
        assert (result.exit_code, told[0]["verdict"]) == ((0, "warn") if unknown else (1, "fail"))

    def test_another_process_is_examined_with_its_own_key(self, operator: Billing, nats: NatsDeployment) -> None:
        """What a worker may not is found before the worker misses it; what it need not, is not asked for."""
        become(operator, nats, WORKER)
        (fine,) = findings(operator, "nats permissions", "--as", "worker")
        nats.permit(without="CONSUMER.MSG.NEXT.WEBHOOK", user=WORKER)
        (missing,) = findings(operator, "nats permissions", "--as", "worker")
        become(operator, nats, HTTP)
        operator.environment |= PRODUCTION
        (http,) = findings(operator, "nats permissions", "--as", "http")

        assert [each["verdict"] for each in (fine, missing, http)] == ["ok", "fail", "ok"]
        assert "of the user billing-worker" in missing["remedy"]
        assert findings(operator, "streams", "--as", "http") == []

    def test_a_key_nobody_knows_is_told_as_that(self, operator: Billing, nats: NatsDeployment) -> None:
        """With its public half, which is what the server must know."""
        operator.json("nats", "new-key", "unknown.nk")
        operator.environment["BILLING_NATS_NKEY_SEED_FILE"] = "unknown.nk"

        (told,) = findings(operator, "nats")

        seed = Path("unknown.nk").read_text().strip()
        assert (told["verdict"], told["detail"]) == ("fail", "NATS does not let Billing in.")
        assert UserKey.from_seed(seed).public in told["remedy"]
        assert seed not in str(told)

    def test_a_server_we_do_not_trust_is_told_as_that(self, operator: Billing, tmp_path: Path) -> None:
        """With the variable for its authority."""
        operator.environment["BILLING_NATS_CA_FILE"] = str(Authority(tmp_path / "stranger").ca)

        (told,) = findings(operator, "nats")

        assert (told["verdict"], "certificate verify failed" in told["detail"]) == ("fail", True)
        assert "BILLING_NATS_CA_FILE" in told["remedy"]

    def test_a_user_that_may_do_everything_is_told_in_production(self, operator: Billing, nats: NatsDeployment) -> None:
        """Development may."""
        become(operator, nats, EVERYBODY_ELSE)
        (development,) = findings(operator, "nats permissions")
        operator.environment |= PRODUCTION
        (production,) = findings(operator, "nats permissions")

        assert (development["verdict"], production["verdict"]) == ("ok", "warn")
        assert "deploy/nats/accounts.conf" in production["remedy"]


def redis_finding(billing: Billing) -> dict[str, Any]:
    """What the doctor finds of Redis. On a busy machine it may find that it is away: then it looks again."""
    (told,) = findings(billing, "redis")
    for _ in range(5):
        if told["verdict"] != "warn":
            break
        (told,) = findings(billing, "redis")
    return told


class TestRedis:
    def test_what_redis_does_not_permit_is_named(self, billing: Billing, limited: str) -> None:
        """And not told as an outage; the version need not be ours to see."""
        billing.environment["BILLING_REDIS_URL"] = limited

        told = redis_finding(billing)

        assert (told["verdict"], told["detail"]) == ("fail", "does not permit SET, UNLINK")
        assert "deploy/redis/users.acl" in told["remedy"]

    def test_a_login_redis_does_not_know_is_told_as_that(self, billing: Billing, redis_url: str) -> None:
        """With the variable it stands in, and without the password."""
        place = urlsplit(redis_url).netloc.rpartition("@")[2]
        billing.environment["BILLING_REDIS_URL"] = f"redis://billing:hidden-one@{place}/0"

        told = redis_finding(billing)

        assert (told["verdict"], "BILLING_REDIS_URL" in told["detail"]) == ("fail", True)
        assert "hidden-one" not in str(told)


@pytest.fixture
def limited(redis_url: str) -> Iterator[str]:
    """A URL with a user who may only read."""
    with redis.Redis.from_url(redis_url) as client:
        rules = ("reset", "on", ">sample", "~billing:*", "+ping", "+get")
        client.execute_command("ACL", "SETUSER", "reader", *rules)
        place = urlsplit(redis_url).netloc.rpartition("@")[2]
        yield f"redis://reader:sample@{place}/0"
        client.execute_command("ACL", "DELUSER", "reader")


class TestCommands:
    def test_they_work_with_the_operators_key(self, operator: Billing, books: Books) -> None:
        """Relay, tail, publish again, replay."""
        relayed = operator.json("jobs", "run", "relay-events")
        lines = operator("events", "tail", "--since", "1h", "--no-follow", "--json").stdout.splitlines()
        republished = operator.json("events", "republish", "--merchant", books.merchant_id)
        replayed = operator.json("parked", "replay", str(books.parked_id))

        assert (relayed["done"], len(lines), republished["published"], replayed["sent"]) == (4, 4, 4, True)

    @pytest.mark.parametrize(
        ("subject", "command"),
        [
            ("evt.billing.>", "jobs run relay-events"),
            ("evt.billing.>", "events republish --merchant m-1"),
            ("evt.merchant.created", "parked replay PARKED"),
            ("$JS.API.STREAM.MSG.GET.BILLING", "events tail --since 1h --no-follow"),
        ],
    )
    def test_what_is_denied_is_said_with_what_to_do(
        self, operator: Billing, nats: NatsDeployment, books: Books, subject: str, command: str
    ) -> None:
        """The code, the subject and the line to add; and nothing is noted as done that was not."""
        if "republish" in command:
            operator.json("jobs", "run", "relay-events")
        nats.permit(without=f'"{subject}"', user=CLI)
        words = command.replace("PARKED", str(books.parked_id)).split()

        denied = operator(*words)
        nats.permit()
        done = operator(*words)

        assert denied.exit_code == 1
        assert "BROKER_DENIED: NATS does not permit Billing to publish to " in denied.stderr
        assert f'Add "{subject}"' in denied.stderr
        assert done.exit_code == 0


class TestTransport:
    @pytest.mark.parametrize(
        ("urls", "verdict"),
        [
            ("tls://nats.example:4222", "ok"),
            ("tls://a.example,tls://b.example", "ok"),
            ("nats://127.0.0.1:4222", "ok"),
            ("nats://[::1]:4222", "ok"),
            ("nats://localhost:4222", "ok"),
            ("nats://nats.example:4222", "warn"),
            ("tls://a.example, nats://b.example", "warn"),
            ("nats://10.0.0.1", "warn"),
        ],
    )
    def test_what_crosses_a_network_in_the_clear_is_told(self, urls: str, verdict: str) -> None:
        """On this machine it does not."""
        found = examine_transport("nats transport", urls, "BILLING_NATS_URL", "tls")

        assert found.verdict == verdict
        assert verdict == "ok" or found.remedy == "Write tls:// in BILLING_NATS_URL."


async def _delete_streams(nats: NatsDeployment, *names: str) -> None:
    async with open_nats(nats.url, name="others", access=nats.access(EVERYBODY_ELSE)) as connection:
        present = {str(each.config.name) for each in await connection.jetstream.streams_info()}
        for name in present & set(names) if names else present:
            await connection.jetstream.delete_stream(name)


def _run(work: Any) -> None:
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work).result()
