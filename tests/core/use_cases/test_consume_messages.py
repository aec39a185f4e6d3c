"""Outages put a batch off; a message nobody can handle is parked alone."""

from collections.abc import Sequence

import pytest

from billing_core.errors import StorageConflict, StorageUnavailable
from billing_core.messages import InboundMessage
from billing_core.testing import InMemoryBilling, a_merchant_created
from billing_core.testing.builders import again
from billing_core.use_cases.consume_messages import UNFORESEEN_ATTEMPTS, ConsumeMessages, Handler
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry, backoff_s


def _consumer(billing: InMemoryBilling, handle: Handler) -> ConsumeMessages:
    return ConsumeMessages(
        source="test", handle=handle, units=billing.storage.units, clock=billing.clock, new_id=billing.new_id
    )


def _poisoned_by(poison: InboundMessage) -> Handler:
    """A handler that breaks over one message, in whatever batch it comes."""

    async def handle(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        if poison.body in [message.body for message in messages]:
            raise ZeroDivisionError("nobody thought of this")
        return [Done() for _ in messages]

    return handle


class TestConsumeMessages:
    async def test_what_the_handler_says_stands(self, billing: InMemoryBilling) -> None:
        """In the usual case it adds nothing."""
        consume = _consumer(billing, billing.register_merchants)

        assert await consume([a_merchant_created(), a_merchant_created(merchant_id=7)]) == [
            Done(),
            Parked(reason="merchant_id: Input should be a valid string"),
        ]

    @pytest.mark.parametrize("away", [StorageUnavailable(), StorageConflict("in the way")])
    async def test_an_outage_puts_every_message_off_by_its_own_attempts(
        self, billing: InMemoryBilling, away: StorageUnavailable
    ) -> None:
        """Nothing was decided, so nothing is acknowledged; however long it lasts, once it is over nothing waits for
        more than seconds."""

        async def handle(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            raise away

        outcomes = await _consumer(billing, handle)([a_merchant_created(), a_merchant_created(attempt=40)])

        assert outcomes == [Retry(delay_s=2, reason=str(away)), Retry(delay_s=8, reason=str(away))]
        assert billing.storage.tables.parked == {}

    async def test_a_poisoned_message_takes_no_other_with_it_and_is_parked_at_last(
        self, billing: InMemoryBilling
    ) -> None:
        """The others of its batch are done; it is tried again, and after its last attempt a person can look."""
        poison, good = a_merchant_created(), a_merchant_created()
        consume = _consumer(billing, _poisoned_by(poison))

        outcomes = [await consume([good, poison, good])]
        for _ in range(UNFORESEEN_ATTEMPTS - 1):
            poison = again(poison)
            outcomes.append(await consume([poison]))

        assert [type(outcome) for outcome in outcomes[0]] == [Done, Retry, Done]
        assert [type(batch[-1]) for batch in outcomes[1:]] == [Retry] * (UNFORESEEN_ATTEMPTS - 2) + [Parked]
        (parked,) = billing.storage.tables.parked.values()
        assert (parked.body, parked.source, parked.reason, parked.parked_at) == (
            poison.body,
            "test",
            "ZeroDivisionError while handling it",
            billing.clock.now(),
        )

    @pytest.mark.parametrize(("attempt", "outcome"), [(2, Retry), (UNFORESEEN_ATTEMPTS, Parked)])
    async def test_what_nobody_foresaw_is_told_with_its_fault(
        self, billing: InMemoryBilling, attempt: int, outcome: type
    ) -> None:
        """Whoever must mend it finds it in the log, whether the message comes again, after a while, or waits aside."""
        poison = a_merchant_created(attempt=attempt)

        told = (await _consumer(billing, _poisoned_by(poison))([a_merchant_created(), poison]))[-1]

        assert isinstance(told, Retry | Parked)
        assert (type(told), told.reason) == (outcome, "ZeroDivisionError while handling it")
        assert isinstance(told.fault, ZeroDivisionError)
        assert isinstance(told, Parked) or told.delay_s == backoff_s(attempt)
