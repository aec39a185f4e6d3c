"""What other services tell over NATS: merchants, platforms' notices as a webhook service relays them, and poison.

Whoever tells here tells until the broker has it, under one message id: that is what "at least once" means.
"""

import asyncio
import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.errands import Errands
from tests.faults.chaos.system import System

from billing_adapters.nats.publisher import NatsMessageSender
from billing_core.errors import PublishingUnavailable
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED, message_digest

TELL_AGAIN_AFTER_S = 0.2
LOST, TWICE = 0.05, 0.2
LATE_S = 1.0


@dataclass(frozen=True, slots=True)
class Shop:
    """An account on a payment platform; it may install the app more than once."""

    platform: str
    account: str


class Announcements:
    """Tells, and remembers what it told."""

    def __init__(self, system: System, chronicle: Chronicle, *, seed: int) -> None:
        self._sender, self._chronicle = NatsMessageSender(system.nats), chronicle
        self._random = random.Random(f"announcements {seed}")
        self._on_their_way = Errands()
        self._over = False
        self.shops: dict[str, Shop] = {}  # of the announced merchants that the broker has
        self.poison: list[frozenset[str]] = []  # the ids each poisoned message may be parked under
        # Of purchases made before this moment no notice is lost: they were expired before their time, so nobody asks.
        self.sure_before = ""
        self.loses_all = False  # the webhooks' service is away

    async def merchant(self, merchant_id: str, shop: Shop) -> None:
        """This will announce a merchant, once more under another message id now and then."""
        data = {"merchant_id": merchant_id, "platform": shop.platform, "platform_account_id": shop.account}
        for _ in range(self._times()):
            await self._tell(MERCHANT_CREATED, json.dumps(data).encode(), _message_id())
        self.shops[merchant_id] = shop

    def notice(self, platform: str, event: Mapping[str, Any], *, made_at: str, sure: bool = False) -> None:
        """This will relay a platform's event about a purchase made at that moment: late, out of order, twice, or never
        unless it is `sure` to arrive."""
        may_be_lost = not sure and made_at > self.sure_before
        if may_be_lost and (self.loses_all or self._random.random() < LOST):
            self._chronicle.count("load", "notices lost")
            return
        data = {"platform": platform, "delivery_id": event["id"], "topic": event["type"], "payload": event}
        body, message_id = json.dumps(data).encode(), _message_id()
        for _ in range(self._times()):
            # The second delivery has an id of its own every other time: a service that restarted, say.
            self._on_their_way.begin(self._tell_late(body, message_id))
            message_id = self._random.choice((message_id, _message_id()))

    async def poisoned(self) -> None:
        """This will send a message nobody can understand; it must be parked, and hold up nothing."""
        number, message_id = uuid.uuid4().hex, _message_id()
        known = next(iter(self.shops), None)
        documents: list[tuple[str, Any]] = [
            (MERCHANT_CREATED, [number]),
            (MERCHANT_CREATED, {"merchant_id": 7, "platform": "stripe", "number": number}),
            (MERCHANT_CREATED, {"merchant_id": number, "platform": "unheard-of"}),
            (PURCHASE_UPDATED, {"platform": "stripe", "payload": {"object": number}}),
            (PURCHASE_UPDATED, {"platform": "unheard-of", "payload": {"number": number}}),
            (PURCHASE_UPDATED, {"number": number}),
        ]
        if known is not None:
            platform = self.shops[known].platform
            other_shop = {"merchant_id": known, "platform": platform, "platform_account_id": f"not-{number}"}
            documents.append((MERCHANT_CREATED, other_shop))
        subject, document = self._random.choice(documents)
        body = self._random.choice((json.dumps(document).encode(), f'{{"{number}": '.encode()))
        await self._tell(subject, body, message_id)
        self.poison.append(frozenset({message_id, message_digest(body)}))

    async def all_told(self) -> None:
        """This will return once everything that was late has arrived."""
        await self._on_their_way.all_done()

    async def close(self) -> None:
        """This will tell nothing any more."""
        self._over = True  # and no cancellation: nats-py may swallow it
        await self._on_their_way.wait()

    async def _tell_late(self, body: bytes, message_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0, LATE_S))
        await self._tell(PURCHASE_UPDATED, body, message_id)

    async def _tell(self, subject: str, body: bytes, message_id: str) -> None:
        while not self._over:
            try:
                await self._sender.send(subject, body, {"Nats-Msg-Id": message_id})
            except PublishingUnavailable:
                await asyncio.sleep(TELL_AGAIN_AFTER_S)
            else:
                self._chronicle.count("load", f"messages to {subject}")
                return

    def _times(self) -> int:
        return 2 if self._random.random() < TWICE else 1


def _message_id() -> str:
    return f"chaos-{uuid.uuid4()}"
