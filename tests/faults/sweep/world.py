"""What outlives a process: a storage, two platforms, a broker, a cache, a clock, and the messages that still wait.

Its processes come and go. Nothing in it depends on chance, so the same course of events is the same, step by step.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.faults.oracle import BookEntry, Evidence, Told, violations
from tests.faults.ports import FaultyPorts, Hook, Process, all_is_well

from billing_core.domain.events import Origin
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Catalog, TrialTerms, default_catalog
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import Purchase
from billing_core.errors import BillingError
from billing_core.messages import InboundMessage, decode_event
from billing_core.ports.storage import ParkedMessage
from billing_core.testing import (
    FixedClock,
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemorySender,
    InMemoryStorage,
    ScriptedPlatform,
    a_caller,
    a_merchant,
    a_merchant_created,
    a_purchase_updated,
)
from billing_core.testing.builders import again
from billing_core.testing.memory.tables import Tables
from billing_core.use_cases import handle_webhooks, register_merchants
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.consume_messages import Handler as Handle
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Retry

# No two processes read the same microsecond.
A_MOMENT = timedelta(seconds=1)
# Longer than a key stays locked to its first attempt, and than the broker waits for an acknowledgement.
A_WHILE = timedelta(seconds=31)
# After it, the reconciler asks about every open purchase again.
A_SHIFT = timedelta(hours=7)

# Two merchants are one shop, installed a second time; the third is on the other platform.
MERCHANTS: Mapping[str, Merchant] = {
    name: a_merchant(name, platform=platform, platform_account_id=account)
    for name, platform, account in [
        ("m-1", "stripe", "shop-a"),
        ("m-2", "stripe", "shop-a"),
        ("m-3", "shopify", "shop-b"),
    ]
}
OPERATOR = Origin(actor="operator", correlation_id="correlation-1", reason="a customer asked")


class World:
    """Billing's surroundings, its processes, and what clients were told."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.storage = InMemoryStorage(self.clock)
        self.platforms = {
            "stripe": ScriptedPlatform("stripe"),
            "shopify": ScriptedPlatform("shopify", tells_refunds=False, is_idempotent=False),
        }
        self.publisher, self.replays, self.sender = InMemoryPublisher(), InMemoryReplayCache(), InMemorySender()
        self.told: list[Told] = []
        self.poisoned: set[str] = set()
        self.waiting: dict[str, InboundMessage] = {}
        self.wrong: list[str] = []
        self.regrants: dict[str, int] = {}  # how many more trials than its one each shop may have had

    def copy(self) -> "World":
        """Another world that stands as this one does: one that was arranged need not be arranged again."""
        other = World()
        other.clock.set(self.clock.now())
        other.storage.numbers, other.storage.positions = copy(self.storage.numbers), copy(self.storage.positions)
        for table in fields(Tables):
            getattr(other.storage.tables, table.name).update(getattr(self.storage.tables, table.name))
        for name, platform in self.platforms.items():
            other.platforms[name].payments.update(platform.payments)
            other.platforms[name].calls.extend(platform.calls)
            failures = platform._script.failures
            other.platforms[name]._script.failures.update((verb, copy(each)) for verb, each in failures.items())
        other.publisher.published.extend(self.publisher.published)
        other.replays._remembered.update(self.replays._remembered)
        other.told.extend(self.told)
        other.poisoned |= self.poisoned
        other.waiting.update(self.waiting)
        other.regrants.update(self.regrants)
        return other

    def start(self, hook: Hook = all_is_well, **options: Any) -> Process:
        """A new process."""
        ports = FaultyPorts(
            hook,
            storage=self.storage,
            platforms=self.platforms,
            publisher=self.publisher,
            replays=self.replays,
            sender=self.sender,
            **options,
        )
        return Process(ports, catalog=_catalog())

    # --- what clients do -------------------------------------------------------------------------------------------

    async def activate(self, process: Process, merchant: str, key: str = "key-1") -> bool:
        """This will ask for a trial and note what the client was told."""
        return await self._ask(merchant, key, process.activate_trial(a_caller(MERCHANTS[merchant]), key))

    async def buy(self, process: Process, merchant: str, key: str = "key-1", pack: str = "large") -> bool:
        """This will ask for a purchase and note what the client was told."""
        wanted = PurchaseRequest(pack=pack, return_url="https://shop.example/billing")
        return await self._ask(merchant, key, process.create_purchase(a_caller(MERCHANTS[merchant]), key, wanted))

    async def _ask(self, merchant: str, key: str, request: Awaitable[Answered]) -> bool:
        answered = await request
        document = json.loads(answered.answer.document)
        self.told.append(Told(merchant_id=merchant, key=key, status=201, document=document))
        return True

    def refused(self, merchant: str, key: str, refusal: BillingError) -> bool:
        """This will note that the client was refused, which is an answer too."""
        self.told.append(Told(merchant_id=merchant, key=key, status=409, document={"code": refusal.code}))
        return True

    # --- what messages do ------------------------------------------------------------------------------------------

    def send(self, *messages: InboundMessage, poisoned: bool = False) -> None:
        """This will put messages into the stream; `poisoned` ones are meant to be parked."""
        for message in messages:
            message_id = message.headers["Nats-Msg-Id"]
            self.waiting[message_id] = message
            if poisoned:
                self.poisoned.add(message_id)

    def send_notice(self, reference: str, platform: str = "stripe", /, *, name: str = "n-1", **payload: Any) -> None:
        """This will put a platform's notice about a payment into the stream."""
        told = payload or {"reference": reference}
        self.send(a_purchase_updated(platform=platform, payload=told, message_id=name))

    async def deliver(self, process: Process) -> bool:
        """This will deliver what waits, once more, as the consumer does; what is handled waits no longer."""
        batch = dict(self.waiting)
        self.waiting = {name: again(message) for name, message in batch.items()}
        handlers: list[tuple[str, Handle, str]] = [
            (register_merchants.SOURCE, process.register_merchants, "evt.merchant.created"),
            (handle_webhooks.SOURCE, process.handle_webhooks, "evt.webhook.app.purchase_updated"),
        ]
        for source, handle, ours in handlers:
            wanted = {name: message for name, message in batch.items() if message.subject == ours}
            if wanted:
                consume = ConsumeMessages(
                    source=source, handle=handle, units=process.ports.units, clock=self.clock, new_id=process.new_id
                )
                outcomes = await consume(list(wanted.values()))
                for name, outcome in zip(wanted, outcomes, strict=True):
                    if not isinstance(outcome, Retry):
                        self.waiting.pop(name, None)
        return not self.waiting

    # --- what is there ---------------------------------------------------------------------------------------------

    def purchase(self, place: int = 0) -> Purchase:
        """The purchase made as the `place`-th, live or archived."""
        return self.purchases()[place]

    def purchases(self) -> Sequence[Purchase]:
        """Every purchase, live or archived, in the order they were made."""
        tables = self.storage.tables
        both = tables.purchases.keys() & tables.archive.keys()
        if both:
            self.wrong.append(f"{len(both)} purchases are live and archived")
        return sorted([*tables.purchases.values(), *tables.archive.values()], key=lambda each: each.purchase_id)

    def checkout(self, place: int = 0) -> tuple[ScriptedPlatform, str]:
        """The platform and the reference of a purchase's payment: the one whose URL was handed out, else the first."""
        purchase = self.purchase(place)
        platform = self.platforms[purchase.platform]
        return platform, purchase.platform_reference or platform.references_of(purchase)[0]

    def parked(self) -> Sequence[ParkedMessage]:
        """The parked messages that still wait."""
        return [each for each in self.storage.tables.parked.values() if each.waits]

    def told_of(self, kind: str) -> int:
        """How many events of a kind were published."""
        return sum(event.type == f"evt.billing.{kind}" for event in self.publisher.published)

    # --- coming to rest --------------------------------------------------------------------------------------------

    async def rest(self) -> None:
        """This will have every job run, as if hours passed in which nothing goes wrong, and the outbox drain."""
        process = self.start()
        for _ in range(2):
            self.clock.advance(A_SHIFT)
            for outcome in await process.jobs():
                faults = outcome.report.faults if outcome.report else (outcome.error,)
                self.wrong += [f"{outcome.name} ran into {fault!r}" for fault in faults]
        await process.relay_events()

    def judge(self) -> list[str]:
        """Every broken rule."""
        tables = self.storage.tables
        books = {
            reference: BookEntry(
                reference=reference,
                paid=payment.status is PaymentStatus.PAID,
                price=payment.price,
                refunded_minor=payment.refunded_minor,
                dispute=payment.dispute,
            )
            for platform in self.platforms.values()
            for reference, payment in platform.payments.items()
        }
        evidence = Evidence(
            purchases=self.purchases(),
            trials=list(tables.trials.values()),
            shops={name: f"{each.platform}/{each.platform_account_id}" for name, each in tables.merchants.items()},
            published=[decode_event(event.body) for event in self.publisher.published],
            books=books,
            told=self.told,
            parked=self.parked(),
            poisoned=frozenset(self.poisoned),
            regrants=self.regrants,
            unpublished=sum(row.published_at is None for row in tables.outbox.values()),
        )
        return [*self.wrong, *violations(evidence)]


async def announce(world: World, *names: str) -> None:
    """This will have merchants announced, on a process that nothing befalls."""
    messages = [a_merchant_created(MERCHANTS[name], message_id=f"a-{name}") for name in names]
    await world.start().register_merchants(messages)


async def bought(world: World, merchant: str = "m-1", *, pack: str = "large", trial: bool = False) -> None:
    """This will have an announced merchant buy, perhaps while on trial."""
    await announce(world, merchant)
    process = world.start()
    if trial:
        await world.activate(process, merchant, "trial-key")
    await world.buy(process, merchant, f"key-{pack}", pack)


def purchase_key(world: World, place: int = 0) -> tuple[str, UUID]:
    """What operators name a purchase by."""
    purchase = world.purchase(place)
    return purchase.merchant_id, purchase.purchase_id


Fact = Callable[[World], bool]


def _catalog() -> Catalog:
    """The default catalogue, with trials that a purchase ends."""
    return replace(default_catalog(), trial=TrialTerms(on_purchase="convert"))
