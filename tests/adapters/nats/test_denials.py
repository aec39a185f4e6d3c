"""What NATS does not permit is told as that, wherever it is met, and is tried again once it may be mended."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import pytest
from structlog.testing import capture_logs
from tests.adapters.nats.deployed import nats, running
from tests.nats_deployment import EVERYBODY_ELSE, NatsDeployment, make_streams

from billing_adapters.nats.advisories import ensure_advisories
from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection, open_nats
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.denials import Denial, Denials
from billing_adapters.nats.nkeys import UserKey
from billing_adapters.nats.permissions import ADMIN, CLI, DOOR, WORKER, NatsUser
from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.nats.pull import Pull
from billing_adapters.nats.rare_warnings import RareWarnings
from billing_adapters.nats.streams import CONSUMERS, ensure_consumers, ensure_streams
from billing_adapters.nats.tail import tail
from billing_core.errors import BrokerDenied, PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent

__all__ = ["nats", "running"]  # fixtures

DEADLINE_S: Final = 30.0
MERCHANTS: Final = CONSUMERS[0]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
Connect = Callable[[NatsUser], Awaitable[NatsConnection]]


@pytest.fixture
async def connect(nats: NatsDeployment) -> AsyncIterator[Connect]:
    """Opens a connection as a user; all streams and consumers are there."""
    async with AsyncExitStack() as stack:

        async def as_user(user: NatsUser) -> NatsConnection:
            opened = open_nats(nats.url, name="test", access=nats.access(user), denied_wait_s=0.05)
            connection = await stack.enter_async_context(opened)
            assert await connection.wait_connected(DEADLINE_S)
            return connection

        await make_streams(nats)
        admin = await as_user(ADMIN)
        await ensure_consumers(admin)
        await ensure_advisories(admin)
        async with asyncio.timeout(2 * DEADLINE_S):
            yield as_user


class TestPublishing:
    @pytest.mark.parametrize("many", [1, 20])
    async def test_the_relay_is_told_and_goes_on_once_it_may(
        self, nats: NatsDeployment, connect: Connect, many: int
    ) -> None:
        """One event or an atomic batch: denied, with the line to add; mended while it runs, the same connection
        publishes."""
        nats.permit(without='"evt.billing.>"', user=WORKER)
        worker = await connect(WORKER)
        publisher = NatsEventPublisher(worker)

        with pytest.raises(BrokerDenied) as denied:
            await publisher.publish(events(many))
        await worker.client.flush()  # NATS tells it of every event, and none of that is an answer to what follows
        nats.permit()
        stored = await publisher.publish_again(events(many))

        assert (denied.value.operation, denied.value.subject) == ("publish", "evt.billing.trial.started")
        assert '"evt.billing.>" (publish our events) to publish.allow of the user billing-worker' in denied.value.remedy
        assert (stored, worker.connections) == (many, 1)

    async def test_an_event_that_is_denied_among_others_is_the_one_told(
        self, nats: NatsDeployment, connect: Connect
    ) -> None:
        """Some types may be published and others not: the batch is refused whole, and the right one named."""
        nats.permit(without='"evt.billing.>"', user=WORKER, instead='"evt.billing.trial.*"')
        publisher = NatsEventPublisher(await connect(WORKER))
        batch = [*events(3, "evt.billing.trial.started"), *events(1, "evt.billing.credits.purchased"), *events(3)]

        with pytest.raises(BrokerDenied) as denied:
            await publisher.publish(batch)

        assert denied.value.subject == "evt.billing.credits.purchased"

    async def test_a_webhook_or_a_replay_is_told(self, nats: NatsDeployment, connect: Connect) -> None:
        """Whatever is sent into another service's stream."""
        nats.permit(without='"evt.webhook.app.purchase_updated"')

        for user in (DOOR, CLI):
            with pytest.raises(BrokerDenied, match=f"of the user {user.name}"):
                await NatsMessageSender(await connect(user)).send("evt.webhook.app.purchase_updated", b"{}", {})

    async def test_what_was_answered_is_not_taken_for_denied(self, connect: Connect) -> None:
        """A denial ends those who wait for it, and nobody else, however many ask at once."""
        cli = await connect(CLI)

        async def ask(number: int) -> str:
            subject = f"forbidden.{number}" if number % 2 else "$SYS.REQ.USER.INFO"
            try:
                await cli.client.request(subject, timeout=10 * DEADLINE_S)
            except BrokerDenied as denied:
                return denied.subject
            return "answered"

        told = await asyncio.gather(*(ask(number) for number in range(40)))

        assert told == [f"forbidden.{number}" if number % 2 else "answered" for number in range(40)]


class TestConsuming:
    async def test_a_pull_that_would_wait_for_ever_ends(self, nats: NatsDeployment, connect: Connect) -> None:
        """At once, whatever it was given to wait."""
        nats.permit(without="CONSUMER.MSG.NEXT.MERCHANT", user=WORKER)
        pull = Pull(await connect(WORKER), stream=MERCHANTS.stream, consumer=MERCHANTS.durable)

        with pytest.raises(BrokerDenied):
            await pull.messages(10, 10 * DEADLINE_S)

    async def test_taking_messages_is_told_until_it_may(
        self, nats: NatsDeployment, connect: Connect, eventually: Eventually
    ) -> None:
        """A fetch gives nothing and says why; as soon as it may, the messages come."""
        nats.permit(without="CONSUMER.MSG.NEXT.MERCHANT", user=WORKER)
        worker = await connect(WORKER)
        consumer, denied = a_consumer(worker), denials_of(worker)
        ours = uuid.uuid4().bytes  # other tests may have left messages of theirs
        await (await connect(EVERYBODY_ELSE)).jetstream.publish(MERCHANTS.subject, ours)

        with capture_logs() as logs:
            nothing = await consumer.fetch(10, 0.6)
        before = len(denied)
        nats.permit()
        found = await consumer.fetch(10, DEADLINE_S)
        for each in found:
            await each.ack()

        assert nothing == ()
        assert [each.message.body for each in found].count(ours) == 1
        assert {each.subject for each in denied} == {f"$JS.API.CONSUMER.MSG.NEXT.MERCHANT.{MERCHANTS.durable}"}
        assert before >= 2  # it was asked again all the same
        assert any("MSG.NEXT" in each["error"] and "accounts.conf" in each["error"] for each in logs)

    async def test_acknowledgements_that_do_not_arrive_are_told(
        self, nats: NatsDeployment, connect: Connect, eventually: Eventually
    ) -> None:
        """Nobody waits for an answer to them: without this, messages would come again for ever and nobody know why. It
        is one warning, however many there are."""
        nats.permit(without='"$JS.ACK.', user=WORKER)
        others = await connect(EVERYBODY_ELSE)
        for number in range(3):
            await others.jetstream.publish(MERCHANTS.subject, b"%d" % number)

        with capture_logs() as logs:
            worker = await connect(WORKER)
            denied = denials_of(worker)
            for delivery in await a_consumer(worker).fetch(10, DEADLINE_S):
                await delivery.ack()
            await worker.granted()  # what was sent before it has been judged

        permission = f"$JS.ACK.MERCHANT.{MERCHANTS.durable}.>"
        acknowledged = [each for each in denied if each.permission == permission]
        assert len(acknowledged) >= 3
        assert len([each for each in logs if f"to {permission}." in each.get("error", "")]) == 1

    async def test_a_consumer_that_may_not_be_made_is_told(self, nats: NatsDeployment, connect: Connect) -> None:
        """It is deleted, and the worker may not make it anew."""
        nats.permit(without="CONSUMER.CREATE.MERCHANT", user=WORKER)
        worker, admin = await connect(WORKER), await connect(ADMIN)
        await admin.jetstream.delete_consumer(MERCHANTS.stream, MERCHANTS.durable)

        with pytest.raises(BrokerDenied, match=r"CONSUMER\.CREATE\.MERCHANT"):
            await ensure_consumers(worker)


class TestStreams:
    async def test_a_worker_that_may_not_make_a_stream_says_who_may(
        self, nats: NatsDeployment, connect: Connect
    ) -> None:
        """With the command for it."""
        worker, others = await connect(WORKER), await connect(EVERYBODY_ELSE)
        config = (await others.jetstream.stream_info("BILLING")).config
        config.duplicate_window = 120
        await others.jetstream.update_stream(config)

        with pytest.raises(BrokerDenied, match="run `billing nats upgrade` with its key"):
            await ensure_streams(worker, manage_all=False)

    async def test_each_denied_question_is_one_sentence(self, nats: NatsDeployment, connect: Connect) -> None:
        """Of those about streams and consumers; the others are answered."""
        nats.permit(without="STREAM.INFO.MERCHANT")
        cli = await connect(CLI)

        (problem,) = await check_streams(cli)

        assert "STREAM.INFO.MERCHANT" in problem
        assert "billing-cli" in problem

    async def test_reading_events_is_told(self, nats: NatsDeployment, connect: Connect) -> None:
        """By `billing events tail`."""
        nats.permit(without='"$JS.API.STREAM.MSG.GET.BILLING"')
        cli = await connect(CLI)

        with pytest.raises(BrokerDenied, match="events tail"):
            await anext(tail(cli, "evt.billing.>", since_s=1, follow=True))


class TestConnecting:
    async def test_what_is_missing_is_told_before_it_is_missed(
        self, nats: NatsDeployment, eventually: Eventually
    ) -> None:
        """A process asks what it may do as soon as it is connected, and tells each line that is missing."""
        nats.permit(without="CONSUMER.INFO", user=WORKER)

        async with open_nats(nats.url, name="test", access=nats.access(WORKER)) as connection:
            denied = denials_of(connection)

            async def told() -> bool:
                return len(denied) >= len(CONSUMERS)

            await eventually(told)

        assert {each.permission for each in denied} == {
            f"$JS.API.CONSUMER.INFO.{plan.stream}.{plan.durable}" for plan in CONSUMERS
        }

    async def test_without_its_answers_nothing_is_asked_until_they_may_come(
        self, nats: NatsDeployment, eventually: Eventually
    ) -> None:
        """It does not pass for connected, says why, and is connected once it is mended."""
        nats.permit(without="_INBOX_billing_worker.>", instead="_INBOX_billing_worker.none")
        access = nats.access(WORKER)
        async with open_nats(nats.url, name="test", access=access, denied_wait_s=0.05) as connection:
            denied = denials_of(connection)
            with pytest.raises(BrokerDenied) as first:
                _ = connection.jetstream

            async def asked_again() -> bool:
                return len(denied) >= 3

            await eventually(asked_again)
            nats.permit()

            await eventually(lambda: answers(connection))

        assert (first.value.operation, first.value.subject) == ("subscribe", "_INBOX_billing_worker.>")

    async def test_answers_that_are_taken_away_later_are_told(
        self, nats: NatsDeployment, connect: Connect, eventually: Eventually
    ) -> None:
        """Nothing would be heard any more: the connection is given up, for nobody but a new one subscribes again."""
        worker = await connect(WORKER)
        nats.permit(without="_INBOX_billing_worker.>", instead="_INBOX_billing_worker.none")

        async def given_up() -> bool:
            return not worker.is_connected

        await eventually(given_up)
        with pytest.raises(BrokerDenied):
            await worker.ping()
        nats.permit()

        await eventually(lambda: answers(worker))

    async def test_a_key_that_is_let_in_later_is_let_in(self, nats: NatsDeployment, eventually: Eventually) -> None:
        """Whoever is refused knocks again."""
        nats.permit(without="$BILLING_WORKER_NKEY", instead=UserKey.generate().public)
        access = nats.access(WORKER)
        async with open_nats(nats.url, name="test", access=access, denied_wait_s=0.05) as connection:
            with pytest.raises(BrokerDenied, match="does not let Billing in"):
                await connection.ping()
            nats.permit()

            await eventually(lambda: answers(connection))


class TestDenials:
    def denials(self, user: NatsUser | None = WORKER) -> Denials:
        """What is heard for the user."""
        return Denials(user, inbox_prefix="_INBOX_x", warnings=RareWarnings("nats", "test"))

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ('permissions violation for publish to "$js.api.stream.purge.billing"', ("publish", "other", False)),
            ('permissions violation for publish to "evt.billing.a.b"', ("publish", "evt.billing.>", False)),
            ('permissions violation for subscription to "evt.>" using queue "q"', ("subscribe", "other", False)),
            ('permissions violation for subscription to "_inbox_x.abc.*" (sid "1")', ("subscribe", "other", True)),
            ('permissions violation for publish with reply of "x"', ("publish", "other", False)),
        ],
    )
    def test_the_servers_words_are_understood(self, words: str, told: tuple[str, str, bool]) -> None:
        """As nats-py passes them on, in small letters."""
        denial = self.denials().heard(Exception(f"nats: {words}"))

        assert denial is not None
        assert (denial.operation, denial.permission, denial.ends_all) == told

    @pytest.mark.parametrize("words", ["nats: stale connection", "", "nats: maximum connections exceeded"])
    def test_other_words_are_no_denial(self, words: str) -> None:
        """They are outages and the like."""
        assert self.denials().heard(Exception(words)) is None

    def test_an_error_is_a_new_one_each_time(self) -> None:
        """One that is raised over and over would hold everything it ever passed through."""
        denial = self.denials().denial("publish", "x")

        assert denial.error is not denial.error

    async def test_whoever_is_cancelled_as_well_is_cancelled(self) -> None:
        """A process that stops while it is denied something stops."""
        denials = self.denials()

        async def wait() -> None:
            async with denials.watching("x"):
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        denials.heard(Exception('permissions violation for publish to "x"'))
        denials.heard(Exception('permissions violation for publish to "x"'))

        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_told_twice_it_ends_once(self) -> None:
        """And whoever was denied something can go on with something else."""
        denials = self.denials()

        async def go_on() -> str:
            with pytest.raises(BrokerDenied):
                async with denials.watching("x"):
                    await asyncio.Event().wait()
            await asyncio.sleep(0)
            return "went on"

        going = asyncio.create_task(go_on())
        await asyncio.sleep(0)
        for _ in range(3):
            denials.heard(Exception('permissions violation for publish to "x"'))

        assert (await going, going.cancelling()) == ("went on", 0)

    @pytest.mark.parametrize(
        ("user", "operation", "subject", "remedy"),
        [
            (WORKER, "publish", "evt.billing.a", 'Add "evt.billing.>" (publish our events) to publish.allow'),
            (WORKER, "publish", "$js.api.stream.create.billing", "billing-admin of deploy/nats/accounts.conf: run"),
            (WORKER, "publish", "$js.api.stream.msg.get.billing", "the user billing-cli of deploy/nats/accounts.conf"),
            (WORKER, "subscribe", "_inbox.x.*", "take BILLING_NATS_INBOX_PREFIX away"),
            (None, "publish", "x", 'Allow its user to publish "x"'),
        ],
    )
    def test_the_remedy_names_the_line_and_whose_it_is(
        self, user: NatsUser | None, operation: str, subject: str, remedy: str
    ) -> None:
        """Of the accounts file."""
        assert remedy in self.denials(user).denial(operation, subject).remedy


async def answers(connection: NatsConnection) -> bool:
    """Whether questions are answered now; a server that reads its accounts anew cuts connections off meanwhile."""
    try:
        await connection.granted()
    except (PublishingUnavailable, *NATS_FAILURES):
        return False
    return True


def a_consumer(connection: NatsConnection) -> NatsConsumer:
    """The consumer of announced merchants, as a worker makes it."""
    return NatsConsumer(connection, stream=MERCHANTS.stream, durable=MERCHANTS.durable, subject=MERCHANTS.subject)


def denials_of(connection: NatsConnection) -> list[Denial]:
    """What will be denied to the connection from now on."""
    denied: list[Denial] = []
    connection.tell_denials(denied.append)
    return denied


def events(many: int, type_: str = "evt.billing.trial.started") -> list[OutboxEvent]:
    """Events nobody has seen."""
    return [
        OutboxEvent(event_id=uuid.uuid4(), merchant_id="m-1", sequence=number, type=type_, body=b"{}")
        for number in range(1, many + 1)
    ]
