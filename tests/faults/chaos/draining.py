"""Whether everything has come to rest: every message handled, every event published."""

import asyncio
import time

from tests.faults.chaos import credit_service
from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.system import System

from billing_adapters.nats.streams import CONSUMERS
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.support import PostgresSupport

DRAINED_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2


async def come_to_rest(system: System, announcements: Announcements, payers: Payers) -> float | None:
    """This will wait until everybody has paid, been told of and been handled, and return after how many seconds; None
    where that takes more than 30."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(DRAINED_WITHIN_S):
            await payers.all_done()
            await announcements.all_told()
    except TimeoutError:
        return None
    if await drained(system, within_s=DRAINED_WITHIN_S - (time.monotonic() - began_s)):
        return time.monotonic() - began_s
    return None


async def drained(system: System, *, within_s: float) -> bool:
    """This will wait until no message and no event waits any more, nor any for the Credit Service where there is one;
    False where that takes longer."""
    # Looks at the time instead of being cancelled, which nats-py may swallow.
    deadline_s = time.monotonic() + within_s
    url = str(system.urls.postgres)
    async with open_database(
        url, pool_size=2, application_name="chaos", every_merchant=True, patience=PATIENT
    ) as database:
        support = PostgresSupport(database)
        # The outbox between the two: what leaves it is the Credit Service's to take.
        while (
            await _messages_waiting(system)
            or (await support.unpublished_count_and_oldest()).events
            or (system.has_credit_service and await credit_service.is_behind(system.nats))
        ):
            if time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(LOOK_EVERY_S)
    return True


async def _messages_waiting(system: System) -> bool:
    for plan in CONSUMERS:
        info = await system.nats.jetstream.consumer_info(plan.stream, plan.durable)
        if info.num_pending or info.num_ack_pending:
            return True
    return False
