"""A parked message can be sent again, once what was wrong is mended."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from billing_core.errors import ParkedMessageNotFound, PublishingUnavailable
from billing_core.messages import InboundMessage
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_merchant, a_merchant_created
from billing_core.use_cases.inbound import Done
from billing_core.use_cases.replay_parked import ReplayParked


async def _parked(billing: InMemoryBilling, *, bare: bool) -> UUID:
    """The id of an announcement parked because its platform was not configured."""
    await billing.register_merchants([a_merchant_created(a_merchant("m-1", platform="stripe"), bare=bare)])
    (parked_id,) = billing.storage.tables.parked
    return parked_id


class TestReplayParked:
    @pytest.mark.parametrize("bare", [True, False])
    async def test_sends_the_message_again_and_it_counts(self, billing: InMemoryBilling, bare: bool) -> None:
        """Byte for byte into its own stream, and this time it is understood."""
        parked_id = await _parked(billing, bare=bare)

        message = await billing.replay_parked(parked_id)

        (sent,) = billing.sender.sent
        assert (sent.subject, sent.body) == (message.subject, message.body)
        assert billing.storage.tables.parked[parked_id].replayed_at == billing.clock.now()
        mended = InMemoryBilling(platforms=[ScriptedPlatform("stripe")], storage=billing.storage, clock=billing.clock)
        again = InboundMessage(subject=sent.subject, body=sent.body, headers=sent.headers)
        assert await mended.register_merchants([again]) == [Done()]
        assert "m-1" in billing.storage.tables.merchants

    async def test_each_replay_has_a_delivery_id_of_its_own(self, billing: InMemoryBilling) -> None:
        """Or the broker would drop it as a repeat."""
        parked_id = await _parked(billing, bare=True)

        await billing.replay_parked(parked_id)
        billing.clock.advance(timedelta(microseconds=1))
        await billing.replay_parked(parked_id)

        ids = [sent.headers["Nats-Msg-Id"] for sent in billing.sender.sent]
        assert len(set(ids)) == 2
        assert all(each.startswith(f"replay-{parked_id}") for each in ids)

    async def test_an_unknown_id_is_refused(self, billing: InMemoryBilling) -> None:
        """With where to look."""
        with pytest.raises(ParkedMessageNotFound, match="billing parked list"):
            await billing.replay_parked(UUID(int=1))

    async def test_a_message_still_not_understood_when_it_arrives_waits_again(self, billing: InMemoryBilling) -> None:
        """Even where it is handled before the replay has returned."""
        parked_id = await _parked(billing, bare=True)

        class Prompt:
            async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
                await billing.register_merchants([InboundMessage(subject=subject, body=body, headers=headers)])

        await ReplayParked(units=billing.storage.units, sender=Prompt(), clock=billing.clock)(parked_id)

        waiting = [each for each in billing.storage.tables.parked.values() if each.replayed_at is None]
        assert [each.parked_id != parked_id for each in waiting] == [True]

    async def test_a_message_that_could_not_be_sent_still_waits(self, billing: InMemoryBilling) -> None:
        """It is noted as replayed only once the broker has it."""
        parked_id = await _parked(billing, bare=True)
        billing.sender.is_down = True

        with pytest.raises(PublishingUnavailable):
            await billing.replay_parked(parked_id)

        assert billing.storage.tables.parked[parked_id].replayed_at is None

    async def test_one_that_could_not_be_sent_a_second_time_keeps_the_note_of_the_first(
        self, billing: InMemoryBilling
    ) -> None:
        """It was sent once, and does not wait."""
        parked_id = await _parked(billing, bare=True)
        first = billing.clock.now()
        await billing.replay_parked(parked_id)
        billing.clock.advance(timedelta(hours=1))
        billing.sender.is_down = True

        with pytest.raises(PublishingUnavailable):
            await billing.replay_parked(parked_id)

        assert billing.storage.tables.parked[parked_id].replayed_at == first
