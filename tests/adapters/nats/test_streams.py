"""Streams and consumers: made once, widened, never narrowed, and checked in words."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.keeping import keep_streams
from billing_adapters.nats.streams import (
    BILLING,
    MERCHANT,
    WEBHOOK,
    ensure_consumers,
    ensure_streams,
)
from billing_core.errors import PublishingUnavailable

DAY_S = 24 * 3600
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


class TestEnsureStreams:
    async def test_makes_a_stream_that_keeps_what_it_acknowledged(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """The stream BILLING is kept on disk for weeks, knows repeats, and lets nobody delete from it."""
        await ensure_streams(connection, manage_all=False)

        config = (await jetstream.stream_info(BILLING)).config
        assert config.subjects == ["evt.billing.>"]
        assert (config.retention, config.storage) == (RetentionPolicy.LIMITS, StorageType.FILE)
        assert (config.deny_delete, config.deny_purge, config.allow_atomic) == (True, True, True)
        assert config.discard == DiscardPolicy.NEW
        assert config.duplicate_window >= 120
        assert (config.max_age or 0) >= 14 * DAY_S

    async def test_leaves_the_streams_of_others_to_them(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """Without `manage_all` only BILLING is made."""
        await ensure_streams(connection, manage_all=False)

        assert await stream_names(jetstream) == {BILLING}

    async def test_makes_the_streams_of_others_where_asked(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """With `manage_all` all three are made, those of others without what could never be taken back."""
        await ensure_streams(connection, manage_all=True)

        assert await stream_names(jetstream) == {BILLING, MERCHANT, WEBHOOK}
        assert not (await jetstream.stream_info(MERCHANT)).config.deny_delete

    async def test_again_changes_nothing(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Done twice, and by eight processes at once, the streams are as after the first time, messages included."""
        await ensure_streams(connection, manage_all=True)
        await jetstream.publish("evt.billing.trial.started", b"kept")
        before = await configs(jetstream)

        await asyncio.gather(*(ensure_streams(connection, manage_all=True) for _ in range(8)))

        assert await configs(jetstream) == before
        assert (await jetstream.stream_info(BILLING)).state.messages == 1

    async def test_eight_at_once_make_one(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Processes that start together all find the streams made."""
        await asyncio.gather(*(ensure_streams(connection, manage_all=True) for _ in range(8)))

        assert await stream_names(jetstream) == {BILLING, MERCHANT, WEBHOOK}

    async def test_never_narrows(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """What an operator made wider, longer or limited stays as it is."""
        await jetstream.add_stream(
            StreamConfig(
                name=BILLING,
                subjects=["evt.billing.>", "audit.billing.>"],
                max_age=400 * DAY_S,
                duplicate_window=7 * DAY_S,
                max_msgs_per_subject=1000,
                discard=DiscardPolicy.OLD,
                description="ours",
            )
        )
        before = (await jetstream.stream_info(BILLING)).config

        await ensure_streams(connection, manage_all=False)

        after = (await jetstream.stream_info(BILLING)).config
        assert (after.allow_atomic, after.deny_delete, after.deny_purge) == (True, True, True)
        changed = {"allow_atomic", "deny_delete", "deny_purge", "metadata"}
        assert without(after, changed) == without(before, changed)

    async def test_keeps_for_ever_what_was_kept_for_ever(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """A stream without an age limit does not get one."""
        await jetstream.add_stream(StreamConfig(name=BILLING, subjects=["evt.billing.>"]))

        await ensure_streams(connection, manage_all=False)

        assert not (await jetstream.stream_info(BILLING)).config.max_age

    async def test_widens_what_is_too_narrow(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """A stream with too few subjects, too short a life and too short a memory gets what is needed, and keeps its
        messages and its other subjects."""
        await jetstream.add_stream(
            StreamConfig(name=BILLING, subjects=["evt.billing.trial.>", "other"], max_age=3600, duplicate_window=1)
        )
        await jetstream.publish("evt.billing.trial.started", b"kept")

        await ensure_streams(connection, manage_all=False)

        info = await jetstream.stream_info(BILLING)
        assert set(info.config.subjects or []) == {"evt.billing.>", "other"}
        assert (info.config.max_age or 0) >= 14 * DAY_S
        assert info.config.duplicate_window >= 120
        assert info.state.messages == 1

    async def test_says_when_nats_refuses(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Another stream with our subjects is not touched; the error names ours."""
        await jetstream.add_stream(StreamConfig(name="OTHER", subjects=["evt.billing.>"]))

        with pytest.raises(PublishingUnavailable, match=BILLING):
            await ensure_streams(connection, manage_all=False)

        assert await stream_names(jetstream) == {"OTHER"}

    async def test_says_when_nats_is_away(self, server: Any, connection: NatsConnection) -> None:
        """Without NATS the answer is PublishingUnavailable."""
        await server.stop()

        with pytest.raises(PublishingUnavailable):
            await ensure_streams(connection, manage_all=False)


class TestEnsureConsumers:
    async def test_makes_both(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Both consumers take their subject, wait for acknowledgements and never give up."""
        await ensure_streams(connection, manage_all=True)

        missing = await ensure_consumers(connection)

        created = (await jetstream.consumer_info(MERCHANT, "billing-merchant-created")).config
        updated = (await jetstream.consumer_info(WEBHOOK, "billing-purchase-updated")).config
        assert missing == ()
        assert created.filter_subject == "evt.merchant.created"
        assert updated.filter_subject == "evt.webhook.app.purchase_updated"
        for config in (created, updated):
            assert (config.ack_policy, config.ack_wait, config.max_deliver) == (AckPolicy.EXPLICIT, 30, -1)
            assert 0 < (config.max_ack_pending or 0) < 100_000

    async def test_names_those_whose_stream_is_missing(self, connection: NatsConnection) -> None:
        """Without the streams of the other services nothing crashes, and what is missing is named."""
        missing = await ensure_consumers(connection)

        assert missing == ("billing-merchant-created", "billing-purchase-updated")

    async def test_leaves_what_is_there(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """A consumer an operator tuned stays tuned, and where it was."""
        await ensure_streams(connection, manage_all=True)
        await jetstream.add_consumer(
            MERCHANT,
            ConsumerConfig(durable_name="billing-merchant-created", filter_subject="evt.merchant.created", ack_wait=90),
        )

        await ensure_consumers(connection)

        assert (await jetstream.consumer_info(MERCHANT, "billing-merchant-created")).config.ack_wait == 90


class TestKeepStreams:
    async def test_makes_everything_when_nats_comes(self, server: Any, eventually: Eventually) -> None:
        """With NATS away at the start, streams and consumers are made as soon as it comes."""
        await server.stop()
        async with open_nats(server.url, name="test") as connection:
            stop = asyncio.Event()
            keeper = asyncio.create_task(keep_streams(connection, manage_all=True, stop=stop))
            await server.start()

            async def nothing_is_wrong() -> bool:
                return not await check_streams(connection)

            await eventually(nothing_is_wrong)
            stop.set()
            await keeper

    async def test_makes_consumers_when_their_stream_comes(
        self, connection: NatsConnection, jetstream: JetStreamContext, eventually: Eventually
    ) -> None:
        """The consumers are made once the other services made their streams."""
        stop = asyncio.Event()
        keeper = asyncio.create_task(keep_streams(connection, manage_all=False, stop=stop))

        async def billing_is_there() -> bool:
            return BILLING in await stream_names(jetstream)

        await eventually(billing_is_there)
        await jetstream.add_stream(StreamConfig(name=MERCHANT, subjects=["evt.merchant.>"]))

        async def consumer_is_there() -> bool:
            with suppress(NotFoundError):
                await jetstream.consumer_info(MERCHANT, "billing-merchant-created")
                return True
            return False

        await eventually(consumer_is_there)
        stop.set()
        await keeper


class TestCheckStreams:
    async def test_finds_nothing_wrong_with_ours(self, connection: NatsConnection) -> None:
        """What we make ourselves passes our check."""
        await ensure_streams(connection, manage_all=True)
        await ensure_consumers(connection)

        assert await check_streams(connection) == []

    async def test_names_what_is_missing_and_the_remedy(self, connection: NatsConnection) -> None:
        """Each missing stream and consumer is one sentence, with what to do."""
        problems = await check_streams(connection)

        assert len(problems) == 5
        for name in (BILLING, MERCHANT, WEBHOOK, "billing-merchant-created", "billing-purchase-updated"):
            assert any(f" {name} " in each for each in problems)
        assert "BILLING_NATS_MANAGE_STREAMS" in " ".join(problems)

    @pytest.mark.parametrize(
        ("config", "told"),
        [
            ({"subjects": ["evt.billing.trial.>"]}, "not all of evt.billing.>"),
            ({"retention": RetentionPolicy.WORK_QUEUE}, "forgets acknowledged messages"),
            ({"storage": StorageType.MEMORY}, "in memory only"),
            ({"duplicate_window": 1}, "duplicate window"),
            ({"max_age": 13 * DAY_S}, "before they are 14 days old"),
            ({"max_msgs": 10, "discard": DiscardPolicy.OLD}, "discards the oldest"),
            ({}, "allow_atomic"),
            ({}, "deny_delete"),
        ],
    )
    async def test_tells_what_is_wrong_with_a_stream(
        self, connection: NatsConnection, jetstream: JetStreamContext, config: dict[str, Any], told: str
    ) -> None:
        """A setting that can lose events is told."""
        await jetstream.add_stream(StreamConfig(**{"name": BILLING, "subjects": ["evt.billing.>"], **config}))

        problems = await check_streams(connection)

        assert [each for each in problems if told in each]

    @pytest.mark.parametrize(
        ("config", "told"),
        [
            ({"filter_subject": "evt.merchant.deleted"}, "takes evt.merchant.deleted"),
            ({"max_deliver": 5}, "gives up after 5"),
            ({"ack_policy": AckPolicy.NONE}, "explicit"),
            ({"deliver_policy": DeliverPolicy.NEW}, "does not begin with the first"),
            ({"ack_wait": 5.0}, "delivers again after 5 s"),
            ({"backoff": [1.0, 60.0], "max_deliver": 3}, "delivers again after 1 s"),
            ({"max_ack_pending": 10}, "acknowledgements after 10"),
            ({"pause_until": "2999-01-01T00:00:00Z"}, "paused"),
        ],
    )
    async def test_tells_what_is_wrong_with_a_consumer(
        self, connection: NatsConnection, jetstream: JetStreamContext, config: dict[str, Any], told: str
    ) -> None:
        """A consumer that would lose or never see messages is told."""
        await ensure_streams(connection, manage_all=True)
        settings = {"durable_name": "billing-merchant-created", "filter_subject": "evt.merchant.created", **config}
        await jetstream.add_consumer(MERCHANT, ConsumerConfig(**settings))

        problems = await check_streams(connection)

        assert [each for each in problems if told in each]

    async def test_tells_an_outage(self, server: Any, connection: NatsConnection) -> None:
        """Without NATS the one problem is that."""
        await server.stop()

        (problem,) = await check_streams(connection)

        assert "BILLING_NATS_URL" in problem


async def stream_names(jetstream: JetStreamContext) -> set[str]:
    """The names of all streams."""
    return {str(each.config.name) for each in await jetstream.streams_info()}


async def configs(jetstream: JetStreamContext) -> dict[str, StreamConfig]:
    """The settings of all streams."""
    return {str(each.config.name): each.config for each in await jetstream.streams_info()}


def without(config: StreamConfig, names: set[str]) -> dict[str, Any]:
    """The settings but for some."""
    return {name: value for name, value in vars(config).items() if name not in names}
