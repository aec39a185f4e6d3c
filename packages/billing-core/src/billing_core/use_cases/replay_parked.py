"""Send a parked message again, once what was wrong is mended."""

from datetime import datetime
from uuid import UUID

from billing_core.errors import ParkedMessageNotFound, PublishingUnavailable
from billing_core.ports.clock import Clock
from billing_core.ports.publishing import MessageSender
from billing_core.ports.storage import OpenUnitOfWork, ParkedMessage


class ReplayParked:
    """Puts a parked message back into its stream."""

    def __init__(self, *, units: OpenUnitOfWork, sender: MessageSender, clock: Clock) -> None:
        self._units, self._sender, self._clock = units, sender, clock

    async def __call__(self, parked_id: UUID) -> ParkedMessage:
        """This will send the message again, byte for byte, and note that it was.

        Raises ParkedMessageNotFound, PublishingUnavailable. The broker must not take it for the first delivery, so
        it gets a delivery id of its own; a CloudEvent keeps the id it carries.
        """
        async with self._units() as uow:
            message = await uow.parked.get(parked_id)
        if message is None:
            raise ParkedMessageNotFound(f"there is no parked message {parked_id}; see `billing parked list`")
        now = self._clock.now()
        headers = {**message.headers, "Nats-Msg-Id": f"replay-{parked_id}-{now:%Y%m%dT%H%M%S%f}"}
        # Noted first: a message that is still not understood is parked again at once, and must find room to wait in.
        await self._note(parked_id, now)
        try:
            await self._sender.send(message.subject, message.body, headers)
        except PublishingUnavailable:
            await self._note(parked_id, message.replayed_at)
            raise
        return message

    async def _note(self, parked_id: UUID, at: datetime | None) -> None:
        async with self._units() as uow:
            await uow.parked.mark_replayed(parked_id, at)
            await uow.commit()
