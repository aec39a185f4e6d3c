"""Give parked messages up: never silently, and nothing is deleted."""

from collections.abc import Sequence
from uuid import UUID

from billing_core.domain.events import Origin
from billing_core.errors import ParkedMessageNotFound, ParkedMessageNotWaiting
from billing_core.ports.clock import Clock
from billing_core.ports.storage import Dropped, OpenUnitOfWork, ParkedMessage, UnitOfWork


class DropParked:
    """Takes parked messages off the list of those that wait."""

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock) -> None:
        self._units, self._clock = units, clock

    async def __call__(
        self, parked_ids: Sequence[UUID], by: Origin, *, dry_run: bool = False
    ) -> Sequence[ParkedMessage]:
        """This will note who gives the messages up and why, of all or of none, and return them as they were. They
        stay whole, and may still be replayed. `dry_run` refuses the same and notes nothing.

        Raises ParkedMessageNotFound, ParkedMessageNotWaiting.
        """
        dropped = Dropped(at=self._clock.now(), by=by.actor, reason=by.reason or "")
        async with self._units() as uow:
            messages = [await _drop(uow, each, dropped) for each in dict.fromkeys(parked_ids)]
            if not dry_run:
                await uow.commit()
        return messages


async def _drop(uow: UnitOfWork, parked_id: UUID, dropped: Dropped) -> ParkedMessage:
    message = await uow.parked.get(parked_id)
    if message is None:
        raise ParkedMessageNotFound(f"there is no parked message {parked_id}; see `billing parked list`")
    if not await uow.parked.drop(parked_id, dropped):
        raise ParkedMessageNotWaiting(f"{parked_id} waits no more; see `billing parked show {parked_id}`")
    return message
