"""Following events: in order, from a time or from now, over outages, in nobody's way."""

import asyncio
from typing import Any

import pytest
from nats.js import JetStreamContext

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import ensure_streams
from billing_adapters.nats.tail import tail
from billing_core.errors import PublishingUnavailable

DEADLINE_S = 30.0


class TestTail:
    async def test_replays_and_ends(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Without `follow` it tells what there is of the subject, in order, and ends."""
        await ensure_streams(connection, manage_all=False)
        for subject in ("trial.started", "credits.purchased", "trial.expired"):
            await jetstream.publish(f"evt.billing.{subject}", subject.encode())

        told = [each.body async for each in tail(connection, "evt.billing.trial.>", since_s=3600, follow=False)]

        assert told == [b"trial.started", b"trial.expired"]

    async def test_many_among_others_come_each_once_and_in_order(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """However many are asked for at once, and however far apart they are."""
        await ensure_streams(connection, manage_all=False)
        kinds = ["a" if number % 7 in (0, 3) or 100 < number < 200 else "b" for number in range(400)]
        for number, kind in enumerate(kinds):
            await connection.client.publish(f"evt.billing.{kind}", b"%d" % number)
        await jetstream.publish("evt.billing.b", b"400")

        told = [int(each.body) async for each in tail(connection, "evt.billing.a", since_s=3600, follow=False)]

        assert told == [number for number, kind in enumerate(kinds) if kind == "a"]

    async def test_new_only(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """Without `since_s` it tells only what comes after it began."""
        await ensure_streams(connection, manage_all=False)
        await jetstream.publish("evt.billing.trial.started", b"old")
        events = tail(connection, "evt.billing.>", since_s=None, follow=True)
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it has noted what is new from now on

        await jetstream.publish("evt.billing.trial.started", b"new")
        told = await asyncio.wait_for(first, DEADLINE_S)
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator

        assert told.body == b"new"

    async def test_follows_over_a_restart(
        self, server: Any, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """After a restart of NATS it goes on behind the last message it told."""
        await ensure_streams(connection, manage_all=False)
        await jetstream.publish("evt.billing.trial.started", b"1")
        events = tail(connection, "evt.billing.>", since_s=3600, follow=True)
        told = [(await asyncio.wait_for(anext(events), DEADLINE_S)).body]
        await server.stop()
        await server.start()
        assert await connection.wait_connected(DEADLINE_S)
        await connection.jetstream.publish("evt.billing.trial.started", b"2")

        told.append((await asyncio.wait_for(anext(events), DEADLINE_S)).body)
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator

        assert told == [b"1", b"2"]

    async def test_says_when_no_stream_has_the_subject(self, connection: NatsConnection) -> None:
        """A subject nobody keeps cannot be followed."""
        with pytest.raises(PublishingUnavailable):
            await anext(tail(connection, "evt.billing.>", since_s=1, follow=True))

    async def test_says_when_nats_is_away(self, server: Any, connection: NatsConnection) -> None:
        """Without NATS at the start it fails at once."""
        await server.stop()

        with pytest.raises(PublishingUnavailable):
            await anext(tail(connection, "evt.billing.>", since_s=1, follow=True))
