"""A parked message can be given up, and who did it and why stays beside it."""

from dataclasses import replace
from uuid import UUID

import pytest

from billing_core.domain.events import Origin
from billing_core.errors import ParkedMessageNotFound, ParkedMessageNotWaiting
from billing_core.ports.storage import Dropped
from billing_core.testing import InMemoryBilling, a_merchant, a_merchant_created

BY = Origin(actor="operator:jo", correlation_id="c-1", reason="sent by a test system")


async def _parked(billing: InMemoryBilling, merchant_id: str) -> UUID:
    """The id of an announcement parked because its platform was not configured."""
    before = set(billing.storage.tables.parked)
    await billing.register_merchants([a_merchant_created(a_merchant(merchant_id, platform="stripe"))])
    (parked_id,) = set(billing.storage.tables.parked) - before
    return parked_id


class TestDropParked:
    async def test_notes_who_and_why_and_keeps_the_message(self, billing: InMemoryBilling) -> None:
        """The message waits no more, and every byte of it is still there."""
        parked_id = await _parked(billing, "m-1")
        body = billing.storage.tables.parked[parked_id].body

        await billing.drop_parked([parked_id], BY)

        kept = billing.storage.tables.parked[parked_id]
        assert kept.dropped == Dropped(at=billing.clock.now(), by="operator:jo", reason="sent by a test system")
        assert (kept.waits, kept.body) == (False, body)

    async def test_a_reason_may_be_left_out(self, billing: InMemoryBilling) -> None:
        """Then none is kept."""
        parked_id = await _parked(billing, "m-1")

        await billing.drop_parked([parked_id], replace(BY, reason=None))

        dropped = billing.storage.tables.parked[parked_id].dropped
        assert dropped is not None
        assert dropped.reason == ""

    async def test_a_dry_run_notes_nothing(self, billing: InMemoryBilling) -> None:
        """It tells the messages, and they wait as before."""
        parked_id = await _parked(billing, "m-1")

        (message,) = await billing.drop_parked([parked_id, parked_id], BY, dry_run=True)

        assert message == billing.storage.tables.parked[parked_id]
        assert message.waits

    @pytest.mark.parametrize("dry_run", [True, False])
    async def test_all_or_none(self, billing: InMemoryBilling, dry_run: bool) -> None:
        """One id that is unknown leaves the others waiting, and says where to look."""
        parked_id = await _parked(billing, "m-1")

        with pytest.raises(ParkedMessageNotFound, match="billing parked list"):
            await billing.drop_parked([parked_id, UUID(int=1)], BY, dry_run=dry_run)

        assert billing.storage.tables.parked[parked_id].waits

    async def test_what_was_sent_again_is_refused(self, billing: InMemoryBilling) -> None:
        """And the one beside it is left as it was."""
        sent, other = await _parked(billing, "m-1"), await _parked(billing, "m-2")
        await billing.replay_parked(sent)

        with pytest.raises(ParkedMessageNotWaiting, match=f"billing parked show {sent}"):
            await billing.drop_parked([other, sent], BY)

        assert billing.storage.tables.parked[sent].dropped is None
        assert billing.storage.tables.parked[other].waits
