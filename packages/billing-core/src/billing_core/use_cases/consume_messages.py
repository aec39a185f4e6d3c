"""Consume a batch so that no message is lost and none stands in the way of another."""

from collections.abc import Awaitable, Callable, Sequence

from billing_core.errors import StorageUnavailable
from billing_core.messages import InboundMessage
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.inbound import Outcome, Parked, Retry, backoff_s, outage_delay_s, parked_messages

# A fault nobody foresaw may pass (a deployment half done) or not (a message no code here can handle): after this many
# deliveries it is taken for the latter.
UNFORESEEN_ATTEMPTS = 5

Handler = Callable[[Sequence[InboundMessage]], Awaitable[Sequence[Outcome]]]


class ConsumeMessages:
    """Wraps a handler of many messages: outages put the batch off, a poisoned message is parked alone."""

    def __init__(self, *, source: str, handle: Handler, units: OpenUnitOfWork, clock: Clock, new_id: NewId) -> None:
        self._source, self._handle, self._units = source, handle, units
        self._clock, self._new_id = clock, new_id

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will handle the messages and say, one by one, what became of each. Raises StorageUnavailable only
        while parking; then nothing is acknowledged."""
        try:
            return await self._handle(messages)
        except StorageUnavailable as away:
            return [Retry(delay_s=outage_delay_s(each.attempt), reason=str(away)) for each in messages]
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not take the other messages with it
            if len(messages) > 1:
                return [outcome for message in messages for outcome in await self([message])]
            return [await self._poisoned(messages[0], fault)]

    async def _poisoned(self, message: InboundMessage, fault: Exception) -> Outcome:
        reason = f"{type(fault).__name__} while handling it"
        if message.attempt < UNFORESEEN_ATTEMPTS:
            return Retry(delay_s=backoff_s(message.attempt), reason=reason, fault=fault)
        outcome = Parked(reason=reason, fault=fault)
        now = self._clock.now()
        async with self._units() as uow:
            kept = parked_messages(self._source, [message], [outcome], [None], at=now, new_id=self._new_id)
            await uow.parked.add(kept)
            await uow.commit()
        return outcome
