"""What stands around Billing: two platforms, a shop with two merchants and two with one, a relay, operators, a clock.

It stands on any storage, and reads what is there through the ports alone.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast
from uuid import UUID

from billing_core.domain.money import Money
from billing_core.domain.packs import Catalog, CreditPack, PriceBook, TrialTerms, default_catalog
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase
from billing_core.errors import BillingError, PublishingUnavailable
from billing_core.messages import InboundMessage
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.records import BillingRecords, HistoryEntry, PurchaseFilter
from billing_core.ports.storage import Outbox
from billing_core.testing import (
    MOMENT,
    FixedClock,
    InMemoryBilling,
    InMemoryStorage,
    ScriptedPlatform,
    a_caller,
    a_merchant,
    a_purchase_updated,
)
from billing_core.testing.builders import again, an_origin
from billing_core.testing.scripted_platform import HeldAnswer, Payment, Verb
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Done, Outcome, Retry
from billing_core.views import PurchaseSummary

# Two of the merchants are one shop, installed a second time; on another platform the same account is another shop.
SHOPS = {
    "m-0": ("stripe", "shop-a"),
    "m-1": ("stripe", "shop-a"),
    "m-2": ("shopify", "shop-a"),
    "m-3": ("shopify", "b"),
}
MERCHANTS = {
    each: a_merchant(each, platform=platform, platform_account_id=account)
    for each, (platform, account) in SHOPS.items()
}
OPERATOR = an_origin(actor="operator", reason="a customer asked")
_EVERYTHING = 100


class Storage(Protocol):
    """The storage a world stands on: whatever `InMemoryStorage` has; the world itself reads these two."""

    @property
    def records(self) -> BillingRecords: ...
    @property
    def outbox(self) -> Outbox: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is recorded at one moment: purchases by id, archived ones too; their histories; every event ever."""

    purchases: Mapping[UUID, Purchase]
    histories: Mapping[UUID, Sequence[HistoryEntry]]
    events: Sequence[OutboxEvent]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of every event of a kind."""
        return [json.loads(event.body)["data"] for event in self.events if event.type == f"evt.billing.{kind}"]


class TickingClock(FixedClock):
    """A clock of which no two readings are the same."""

    def now(self) -> datetime:
        """The moment after the one before."""
        return self.advance(timedelta(microseconds=1))


class TellingPlatform(ScriptedPlatform):
    """A platform that remembers which payments it `told` us are paid."""

    told: frozenset[str] = frozenset()

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """See `PaymentPlatform.look_up`."""
        report = await super().look_up(platform_reference, account, now)
        if report is not None and report.status is PaymentStatus.PAID:
            self.told |= {platform_reference}
        return report


@dataclass(slots=True, kw_only=True)
class _Slow:
    """Something that waits for a platform's answer."""

    task: "asyncio.Task[None]"
    held: HeldAnswer


@dataclass(slots=True, kw_only=True)
class Told:
    """What merchants and operators were told: checkout URLs by purchase, answers, and what operators decided."""

    urls: dict[str, set[str]] = field(default_factory=dict)
    answers: set[bytes] = field(default_factory=set)
    accepted: set[UUID] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)


class World:
    """Billing and its surroundings."""

    def __init__(self, runner: asyncio.Runner, storage: Callable[[Clock], Storage]) -> None:
        self._runner = runner
        self.clock = TickingClock()
        self.platforms = {each.name: each for each in _platforms()}
        self.storage = storage(self.clock)
        self.billing = InMemoryBilling(
            catalog=_price_book(),
            platforms=self.platforms.values(),
            clock=self.clock,
            storage=cast("InMemoryStorage", self.storage),  # or another one with the same ports
        )
        self.told = Told()
        self.slow: list[_Slow] = []
        self.notices: list[InboundMessage] = []
        self._events = dict[tuple[str, int], OutboxEvent]()  # also what the outbox was allowed to forget since
        self._histories = dict[UUID, Sequence[HistoryEntry]]()

    # --- doing -----------------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """This will wait for the work, while everything slow goes on."""
        return self._runner.run(work)

    def attempt(self, work: Coroutine[Any, Any, Any]) -> Any:
        """This will wait for the work; a refusal (None) is an answer, anything else is a fault."""
        with suppress(BillingError):
            return self.run(work)
        return None

    def start(self, work: Coroutine[Any, Any, Any], platform: str, verb: Verb) -> None:
        """This will begin the work and leave it waiting for the platform's answer, if it comes to ask for one."""
        held = self.platforms[platform].hold(verb)
        task = self.run(_until_asked(work, held))
        if task.done():
            self.platforms[platform].release(held)
        else:
            self.slow.append(_Slow(task=task, held=held))

    def finish(self, place: int) -> None:
        """This will let one of the answers arrive."""
        slow = self.slow.pop(place % len(self.slow))
        slow.held.given.set()
        self.run(asyncio.wait_for(slow.task, 60))

    async def buy(self, merchant: str, key: str, request: PurchaseRequest) -> None:
        """This will ask for a purchase, and note the URL and the answer."""
        answered = await self.billing.create_purchase(a_caller(MERCHANTS[merchant]), key, request)
        assert not answered.replayed or answered.answer.document in self.told.answers
        self.told.answers.add(answered.answer.document)
        view = json.loads(answered.answer.document)
        if view["checkout_url"] is not None:
            self.told.urls.setdefault(view["id"], set()).add(view["checkout_url"])

    async def deliver(self, notices: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will deliver a batch; a notice to be tried again waits with the others as its next delivery."""
        outcomes = await self.billing.handle_webhooks(notices)
        for notice, outcome in zip(notices, outcomes, strict=True):
            if isinstance(outcome, Retry) and notice in self.notices:
                self.notices[self.notices.index(notice)] = again(notice)
        return outcomes

    def relay(self) -> None:
        """This will relay what is recorded; what the broker did not confirm goes out next time."""
        self.read()  # for the outbox tells of published events no more
        with suppress(PublishingUnavailable):
            self.run(self.billing.relay_events())

    def recover(self) -> None:
        """This will have everything answer again, and let what was slow arrive."""
        while self.slow:
            self.finish(0)
        for platform in self.platforms.values():
            platform.recover()

    def close(self) -> None:
        """This will give up what still waits."""
        for slow in self.slow:
            slow.task.cancel()
        self.run(asyncio.sleep(0))

    # --- reading ---------------------------------------------------------------------------------------------------

    @property
    def payments(self) -> Mapping[str, Payment]:
        """Every platform's payments, by reference."""
        return {key: each for name in sorted(self.platforms) for key, each in self.platforms[name].payments.items()}

    def references(self, *, paid: bool | None = None) -> Sequence[str]:
        """The references of all payments, or of those that are paid, or are not."""
        payments = sorted(self.payments.items(), key=lambda each: each[0])
        return [key for key, each in payments if paid in (None, each.status is PaymentStatus.PAID)]

    def rivals(self) -> Sequence[Sequence[str]]:
        """The references of each purchase that has several checkouts."""
        made: dict[UUID, list[str]] = {}
        for reference in self.references():
            made.setdefault(self.payments[reference].purchase.purchase_id, []).append(reference)
        return [each for each in made.values() if len(each) > 1]

    def payment(self, place: int, *, paid: bool | None = None) -> tuple[TellingPlatform, str]:
        """One of these payments, and its platform."""
        references = self.references(paid=paid)
        reference = references[place % len(references)]
        return self.platforms[self.payments[reference].purchase.platform], reference

    def notice(self, reference: str, naming: Sequence[str]) -> InboundMessage:
        """A platform's notice about the payment that names it so."""
        purchase = self.payments[reference].purchase
        names = {
            "reference": reference,
            "purchase": purchase.short_reference,
            "payment": reference.replace("pay-", "money-", 1),
            "account": purchase.platform_account_id,
        }
        return a_purchase_updated(platform=purchase.platform, payload={each: names[each] for each in naming})

    def read(self) -> Books:
        """What is recorded now."""
        books: Books = self.run(self._read())
        return books

    async def _read(self) -> Books:
        purchases = {}
        for merchant_id in SHOPS:
            for archived in (False, True):
                wanted = PurchaseFilter(merchant_id=merchant_id, archived=archived, limit=_EVERYTHING)
                for listed in (await self.storage.records.purchases(wanted)).purchases:
                    assert listed.purchase_id not in purchases, "a purchase is live or archived"
                    purchase = await self.storage.records.purchase(merchant_id, listed.purchase_id)
                    assert purchase is not None
                    assert PurchaseSummary.of(purchase) == listed
                    purchases[purchase.purchase_id] = purchase
        for event in await self.storage.outbox.unpublished(10 * _EVERYTHING):
            assert self._events.setdefault((event.merchant_id, event.sequence), event) == event
        for purchase_id, purchase in purchases.items():
            if len(self._histories.get(purchase_id, ())) != purchase.version:
                self._histories[purchase_id] = await self.storage.records.history(purchase.merchant_id, purchase_id)
        return Books(purchases=purchases, histories=dict(self._histories), events=list(self._events.values()))


async def _until_asked(work: Coroutine[Any, Any, Any], held: HeldAnswer) -> "asyncio.Task[None]":
    async def refusable() -> None:
        with suppress(BillingError):
            await work

    task, asked = asyncio.create_task(refusable()), asyncio.create_task(held.asked.wait())
    await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return task


def settled(outcomes: Sequence[Outcome]) -> bool:
    """Whether every notice was handled."""
    return all(isinstance(outcome, Done) for outcome in outcomes)


def _platforms() -> Sequence[TellingPlatform]:
    """One with idempotency whose look-up tells of refunds, and one without either."""
    return TellingPlatform("stripe"), TellingPlatform("shopify", tells_refunds=False, is_idempotent=False)


def _price_book() -> PriceBook:
    """The default catalogue; from the third day on another price and bonus credits; after a month a retired pack."""

    def pack(code: str, credits_: int, bonus: int, cents: int, *, retired: bool = False) -> CreditPack:
        prices = (Money(amount_minor=cents, currency="USD"),)
        return CreditPack(code=code, credits=credits_, bonus_credits=bonus, prices=prices, retired=retired)

    spring = Catalog(
        version="spring",
        effective_from=MOMENT + timedelta(days=2),
        packs=(pack("small", 100, 7, 1099), pack("large", 1000, 50, 6999)),
        trial=TrialTerms(on_purchase="convert"),
    )
    summer = Catalog(
        version="summer",
        effective_from=MOMENT + timedelta(days=30),
        packs=(pack("small", 100, 0, 1099), pack("large", 1000, 50, 6999, retired=True)),
        max_open_purchases=1,
    )
    return PriceBook(versions=(default_catalog(), spring, summer))
