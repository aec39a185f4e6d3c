"""The users of `deploy/nats` on a real server: each may do what it needs, and nothing else; nobody else gets in."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import pytest
from nats.errors import Error
from nats.js.api import ConsumerConfig
from tests.adapters.nats.deployed import nats, running
from tests.certificates import Authority
from tests.nats_deployment import (
    DEPLOY,
    EVERYBODY_ELSE,
    OTHERS,
    USERS,
    NatsDeployment,
    make_streams,
    variable_of,
)

from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.advisories import count_given_up, ensure_advisories, last_given_up
from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.nkeys import UserKey
from billing_adapters.nats.permissions import ADMIN, CLI, DOOR, HTTP, WORKER, NatsUser
from billing_adapters.nats.plan import ADVISORIES
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.nats.streams import CONSUMERS, ensure_consumers, ensure_streams
from billing_adapters.nats.tail import tail
from billing_adapters.tls import CertificateFiles
from billing_core.errors import BrokerDenied, PublishingUnavailable

__all__ = ["nats", "running"]  # fixtures

DEADLINE_S: Final = 30.0
FOREIGN: Final = "credit-service"
MERCHANTS: Final = CONSUMERS[0]


@pytest.fixture
async def connect(nats: NatsDeployment) -> AsyncIterator[Callable[[NatsUser], Awaitable[NatsConnection]]]:
    """Opens a connection as a user, to streams as they are in production: others' and ours, and others' consumers."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def as_user(user: NatsUser) -> NatsConnection:
            opened = await stack.enter_async_context(open_nats(nats.url, name="test", access=nats.access(user)))
            assert await opened.wait_connected(DEADLINE_S)
            return opened

        await make_streams(nats)
        others, admin = await as_user(EVERYBODY_ELSE), await as_user(ADMIN)
        for stream, subject in (("BILLING", "evt.billing.>"), ("MERCHANT", "evt.merchant.>")):
            config = ConsumerConfig(name=FOREIGN, durable_name=FOREIGN, filter_subject=subject)
            await others.jetstream.add_consumer(stream, config)
        await ensure_consumers(admin)
        await ensure_advisories(admin)
        yield as_user


Connect = Callable[[NatsUser], Awaitable[NatsConnection]]


class TestFile:
    def test_the_accounts_file_permits_what_the_table_says(self) -> None:
        """Each user's lines are the table's, no line more and no line less."""
        text = (DEPLOY / "accounts.conf").read_text("utf-8")
        found = {}
        for block in text.split("nkey: $")[1:]:
            name, _, permissions = block.partition("\n")
            publish, _, subscribe = permissions.partition("subscribe:")
            found[name] = (_strings(publish), _strings(subscribe.partition("\n")[0]))

        wanted = {variable_of(user.name): (list(user.publishes), [f"{user.inbox}.>"]) for user in USERS}
        assert found == wanted
        assert OTHERS in text

    def test_each_line_says_what_it_is_for(self) -> None:
        """In the words of the table."""
        lines = (DEPLOY / "accounts.conf").read_text("utf-8").splitlines()

        for user in USERS:
            for subject, why in user.publishes.items():
                assert f'              "{subject}"  # {why}' in lines

    def test_there_is_no_key_in_it(self) -> None:
        """Keys are the deployment's."""
        shipped = "".join(path.read_text("utf-8") for path in DEPLOY.iterdir())

        assert not re.search(r"\b[SU][A-Z2-7]{55,}\b", shipped)


class TestNeeded:
    @pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
    async def test_each_user_has_what_it_needs(self, connect: Connect, user: NatsUser) -> None:
        """As the server itself tells it."""
        granted = await (await connect(user)).granted()

        assert granted is not None
        assert user.missing(granted) == []

    async def test_the_admin_makes_and_widens_what_is_ours(self, connect: Connect) -> None:
        """Our stream where it is missing or narrow, the advisories, and our consumers."""
        admin, others = await connect(ADMIN), await connect(EVERYBODY_ELSE)
        await _make_narrow(others)

        await ensure_streams(admin, manage_all=False)

        assert await check_streams(admin) == []
        await admin.jetstream.purge_stream(ADVISORIES)
        for plan in CONSUMERS:
            await admin.jetstream.delete_consumer(plan.stream, plan.durable)
        assert await ensure_consumers(admin) == ()

    async def test_the_worker_finds_everything_made_and_makes_its_consumers_anew(self, connect: Connect) -> None:
        """It needs no right to make streams where they are there, and starts a stream over where an operator deleted
        its consumer."""
        worker, others = await connect(WORKER), await connect(EVERYBODY_ELSE)
        await others.jetstream.delete_consumer(MERCHANTS.stream, MERCHANTS.durable)
        consumer = NatsConsumer(worker, stream=MERCHANTS.stream, durable=MERCHANTS.durable, subject=MERCHANTS.subject)
        await others.jetstream.purge_stream(MERCHANTS.stream)
        await others.jetstream.publish(MERCHANTS.subject, b"1")

        await ensure_streams(worker, manage_all=False)
        await ensure_consumers(worker)
        await ensure_advisories(worker)
        (delivery,) = await consumer.fetch(10, DEADLINE_S)
        await delivery.in_progress()
        await delivery.nak(0.001)
        (again,) = await consumer.fetch(10, DEADLINE_S)
        await again.ack()

        while await consumer.pending():  # noqa: ASYNC110 - the acknowledgement is on its way
            await asyncio.sleep(0.01)
        assert again.message.attempt == 2
        assert await count_given_up(worker) == 0

    async def test_operators_examine_tail_and_replay(self, connect: Connect) -> None:
        """What the commands ask of NATS is what their user may."""
        cli = await connect(CLI)
        await cli.jetstream.publish("evt.billing.trial.started", b"{}")

        told = [each async for each in tail(cli, "evt.billing.>", since_s=60, follow=False)]
        await NatsMessageSender(cli).send(MERCHANTS.subject, b"{}", {})

        assert told
        assert await check_streams(cli) == []
        assert (await count_given_up(cli), await last_given_up(cli)) == (0, [])


# What each user would do if somebody had its key. Core NATS and JetStream's API are both asked.
async def _publish(connection: NatsConnection, subject: str) -> None:
    await connection.client.request(subject, b"{}", timeout=DEADLINE_S)


def _api(subject: str, document: Mapping[str, object] | None = None) -> Callable[[NatsConnection], Awaitable[None]]:
    async def act(connection: NatsConnection) -> None:
        await connection.client.request(f"$JS.API.{subject}", json.dumps(document or {}).encode(), timeout=DEADLINE_S)

    return act


def _sending(subject: str) -> Callable[[NatsConnection], Awaitable[None]]:
    async def act(connection: NatsConnection) -> None:
        await _publish(connection, subject)

    return act


_PUSHED_AWAY = {
    "stream_name": "BILLING",
    "config": {"ack_policy": "none", "deliver_subject": "evt.webhook.app.purchase_updated"},
}
_NARROW = {"name": "BILLING", "subjects": ["evt.billing.>"], "max_msgs": 1}
ACTS: Final = {
    "publish to MERCHANT": _sending("evt.merchant.updated"),
    "publish to WEBHOOK": _sending("evt.webhook.app.uninstalled"),
    "publish elsewhere": _sending("anything"),
    "delete BILLING": _api("STREAM.DELETE.BILLING"),
    "purge BILLING": _api("STREAM.PURGE.BILLING"),
    "delete a message": _api("STREAM.MSG.DELETE.BILLING", {"seq": 1}),
    "delete MERCHANT": _api("STREAM.DELETE.MERCHANT"),
    "purge MERCHANT": _api("STREAM.PURGE.MERCHANT"),
    "narrow MERCHANT": _api("STREAM.UPDATE.MERCHANT", {"name": "MERCHANT", "max_msgs": 1}),
    "make a stream": _api("STREAM.CREATE.EVIL", {"name": "EVIL", "subjects": ["evil"]}),
    "read MERCHANT": _api("STREAM.MSG.GET.MERCHANT", {"seq": 1}),
    "restore a stream": _api("STREAM.RESTORE.BILLING"),
    "take a snapshot": _api("STREAM.SNAPSHOT.BILLING", {"deliver_subject": "x"}),
    "list streams": _api("STREAM.LIST"),
    "make a consumer": _api(f"CONSUMER.CREATE.BILLING.{FOREIGN}.evt.billing.>"),
    "make a consumer the old way": _api("CONSUMER.DURABLE.CREATE.BILLING.mine"),
    "have messages sent elsewhere": _api("CONSUMER.CREATE.BILLING", _PUSHED_AWAY),
    "delete another's consumer": _api(f"CONSUMER.DELETE.BILLING.{FOREIGN}"),
    "take another's messages": _api(f"CONSUMER.MSG.NEXT.MERCHANT.{FOREIGN}", {"batch": 1}),
    "acknowledge another's messages": _sending(f"$JS.ACK.MERCHANT.{FOREIGN}.1.1.1.1.0"),
    "move a leader": _api("CONSUMER.LEADER.STEPDOWN.BILLING.x"),
    "look at the account": _api("INFO"),
    "ask the system": _sending("$SYS.REQ.SERVER.PING"),
}
ACTS_OF_ONE: Final = {
    "publish our events": (_sending("evt.billing.credits.purchased"), (HTTP, DOOR, ADMIN)),
    "announce a merchant": (_sending("evt.merchant.created"), (HTTP, DOOR, WORKER, ADMIN)),
    "send a notice": (_sending("evt.webhook.app.purchase_updated"), (HTTP, WORKER, ADMIN)),
    "narrow BILLING": (_api("STREAM.UPDATE.BILLING", _NARROW), (HTTP, DOOR, WORKER, CLI)),
    "make BILLING": (_api("STREAM.CREATE.BILLING", _NARROW), (HTTP, DOOR, WORKER, CLI)),
    "read BILLING": (_api("STREAM.MSG.GET.BILLING", {"seq": 1}), (HTTP, DOOR, WORKER, ADMIN)),
    "take our messages": (_api(f"CONSUMER.MSG.NEXT.MERCHANT.{MERCHANTS.durable}"), (HTTP, DOOR, CLI, ADMIN)),
    "acknowledge our messages": (
        _sending(f"$JS.ACK.MERCHANT.{MERCHANTS.durable}.1.1.1.1.0"),
        (HTTP, DOOR, CLI, ADMIN),
    ),
    "delete our consumer": (_api(f"CONSUMER.DELETE.MERCHANT.{MERCHANTS.durable}"), (HTTP, DOOR, WORKER, CLI)),
    "make our consumer": (
        _api(f"CONSUMER.CREATE.MERCHANT.{MERCHANTS.durable}.{MERCHANTS.subject}"),
        (HTTP, DOOR, CLI),
    ),
    "make our consumer take something else": (
        _api(f"CONSUMER.CREATE.MERCHANT.{MERCHANTS.durable}.evt.merchant.>"),
        (WORKER, ADMIN),
    ),
    "look at streams": (_api("STREAM.INFO.BILLING"), (HTTP, DOOR)),
}


class TestRefused:
    @pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
    async def test_what_nobody_of_ours_may(self, connect: Connect, user: NatsUser) -> None:
        """Each act, by each user, is denied as what it is; afterwards everything is as it was."""
        connection, others = await connect(user), await connect(EVERYBODY_ELSE)
        await others.jetstream.publish("evt.billing.trial.started", b"{}")
        before = await _whole_state(others)

        outcomes = {name: await _outcome(act, connection) for name, act in ACTS.items()}

        assert outcomes == dict.fromkeys(ACTS, "publish denied")
        assert await _whole_state(others) == before

    @pytest.mark.parametrize("act", ACTS_OF_ONE)
    async def test_what_only_one_of_ours_may(self, connect: Connect, act: str) -> None:
        """What one process does is denied to the others."""
        does, denied_to = ACTS_OF_ONE[act]

        outcomes = {user.name: await _outcome(does, await connect(user)) for user in denied_to}

        assert outcomes == {user.name: "publish denied" for user in denied_to}

    @pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
    async def test_nobody_hears_what_is_not_for_them(self, connect: Connect, user: NatsUser) -> None:
        """Neither other users' answers nor events as they pass by, nor everything."""
        connection = await connect(user)
        heard: list[object] = []
        foreign = {f"{each.inbox}.>" for each in (*USERS, EVERYBODY_ELSE)} - {f"{user.inbox}.>"}
        wanted = sorted({*foreign, ">", "evt.>", "evt.billing.>", "*.>", "$JS.ACK.>", "$JS.API.>"})
        denied: list[str] = []
        connection.tell_denials(lambda denial: denied.append(denial.operation))

        for subject in wanted:
            await connection.client.subscribe(subject, cb=_remember(heard))
        await connection.granted()  # what was sent before it has been judged
        other = await connect(WORKER if user is not WORKER else CLI)
        await other.ping()
        await other.client.request("$SYS.REQ.USER.INFO", timeout=DEADLINE_S)
        await connection.ping()

        assert denied == ["subscribe"] * len(wanted)
        assert heard == []


class TestGettingIn:
    async def test_nobody_gets_in_without_a_key_or_with_an_unknown_one(self, nats: NatsDeployment) -> None:
        """It is told as that: as what to mend, and not as an outage."""
        anonymous = NatsAccess(certificates=nats.access(WORKER).certificates)
        unknown = UserKey.generate()
        told = []
        for access in (anonymous, nats.access(WORKER, key=unknown)):
            async with open_nats(nats.url, name="test", access=access) as connection:
                with pytest.raises(BrokerDenied) as denied:
                    await connection.ping()
                told.append(denied.value)
                assert not connection.is_connected

        assert [(each.code, each.operation) for each in told] == [("BROKER_DENIED", "connect")] * 2
        assert "BILLING_NATS_NKEY_SEED_FILE" in told[0].remedy
        assert unknown.public in told[1].remedy
        assert unknown.seed not in str(told[1])

    async def test_another_users_key_does_not_hear_its_answers(self, nats: NatsDeployment) -> None:
        """A process with the key of another one, or with the inbox of another, is told so at once."""
        for access in (
            nats.access(CLI, key=nats.keys[WORKER.name]),
            nats.access(WORKER, inbox="_INBOX_billing_cli"),
            nats.access(WORKER, inbox="_INBOX"),
        ):
            async with open_nats(nats.url, name="test", access=access) as connection:
                with pytest.raises(BrokerDenied) as denied:
                    await connection.ping()

                assert denied.value.operation == "subscribe"
                assert denied.value.subject == f"{access.inbox_prefix}.>"

    async def test_without_our_certificate_we_are_told_to_show_one(self, nats: NatsDeployment) -> None:
        """The server only hangs up."""
        access = NatsAccess(
            certificates=CertificateFiles(prefix="BILLING_NATS", ca=nats.authority.ca),
            nkey_seed=nats.access(WORKER).nkey_seed,
        )

        assert "BILLING_NATS_CERT_FILE" in await _unreachable(nats.url, access)

    async def test_a_certificate_of_another_authority_does_not_get_in(self, nats: NatsDeployment) -> None:
        """The server asks for one of its own authority."""
        stranger = Authority(nats.folder / "stranger").client()
        certificates = CertificateFiles(
            prefix="BILLING_NATS", ca=nats.authority.ca, cert=stranger.cert, key=stranger.key
        )

        await _unreachable(nats.url, NatsAccess(certificates=certificates, nkey_seed=nats.access(WORKER).nkey_seed))

    async def test_a_server_we_do_not_trust_gets_nothing(self, nats: NatsDeployment) -> None:
        """Another authority's certificate, one we know nothing of, and one for another host: the connection ends before
        we say who we are."""
        stranger = Authority(nats.folder / "stranger")
        mine = nats.access(WORKER)
        distrusting = CertificateFiles(prefix="BILLING_NATS", ca=stranger.ca)
        told = [
            await _unreachable(nats.url, NatsAccess(certificates=distrusting, nkey_seed=mine.nkey_seed)),
            await _unreachable(nats.url, NatsAccess(nkey_seed=mine.nkey_seed)),
            await _unreachable(nats.url.replace("127.0.0.1", "localhost"), mine),
        ]

        assert ["certificate verify failed" in each for each in told] == [True] * 3

    async def test_who_asks_for_tls_and_gets_none_sends_nothing(self) -> None:
        """A greeting without TLS, which anybody on the way can make, is answered with nothing at all."""
        received: list[bytes] = []

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'INFO {"version":"2.15.1","headers":true,"max_payload":1048576,"auth_required":true}\r\n')
            received.append(await reader.read())
            writer.close()

        rude = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = rude.sockets[0].getsockname()[1]

        told = await _unreachable(f"tls://user:password@127.0.0.1:{port}", NatsAccess())
        rude.close()
        await rude.wait_closed()

        assert "does not require TLS" in told
        assert b"".join(received) == b""

    async def test_keys_are_in_no_log(self, nats: NatsDeployment, capfd: pytest.CaptureFixture[str]) -> None:
        """Neither in ours nor in the server's."""
        from structlog.testing import capture_logs

        with capture_logs() as logs:
            for user in USERS:
                async with open_nats(nats.url, name="test", access=nats.access(user)) as connection:
                    await connection.ping()
                    await _outcome(_sending("forbidden"), connection)

        told = f"{logs}{nats.log()}{capfd.readouterr()}"
        assert "forbidden" in told
        assert not [key for key in nats.keys.values() if key.seed in told]


def _strings(text: str) -> list[str]:
    return re.findall(r'"([^"]+)"', text)


async def _make_narrow(others: NatsConnection) -> None:
    config = (await others.jetstream.stream_info("BILLING")).config
    config.duplicate_window = 120
    await others.jetstream.update_stream(config)


async def _outcome(act: Callable[[NatsConnection], Awaitable[None]], connection: NatsConnection) -> str:
    try:
        await act(connection)
    except BrokerDenied as denied:
        return f"{denied.operation} denied"
    except Error as other:
        return repr(other)
    return "done"


async def _whole_state(others: NatsConnection) -> object:
    streams = await others.jetstream.streams_info()
    consumers = [each for one in streams for each in await others.jetstream.consumers_info(str(one.config.name))]
    return (
        sorted((str(one.config), one.state.messages, one.state.last_seq) for one in streams),
        sorted(
            (each.stream_name, str(each.name), str(each.config), str(each.ack_floor), each.num_pending)
            for each in consumers
        ),
    )


async def _unreachable(url: str, access: NatsAccess) -> str:
    async with open_nats(url, name="test", access=access) as connection:
        with pytest.raises(PublishingUnavailable) as away:
            await connection.ping()
        assert not connection.is_connected
    return str(away.value)


def _remember(heard: list[object]) -> Callable[[object], Awaitable[None]]:
    async def remember(message: object) -> None:
        heard.append(message)

    return remember
