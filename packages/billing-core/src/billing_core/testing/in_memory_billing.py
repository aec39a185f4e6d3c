"""The whole of Billing in memory: every use case, wired as the apps wire them."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

from billing_core.domain.events import Fact
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Catalog, PriceBook, default_catalog
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.domain.rate_limits import RateLimit
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.messages import Event, decode_event
from billing_core.ports.clock import Clock
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing.builders import a_caller, a_merchant, a_merchant_created, a_purchase_updated, a_request_key
from billing_core.testing.clock import FixedClock, SequentialIds
from billing_core.testing.memory import (
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemorySender,
    InMemoryStorage,
    InMemoryUsage,
)
from billing_core.testing.scripted_platform import ScriptedPlatform
from billing_core.use_cases import handle_webhooks, register_merchants
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.answer_privacy_requests import AnswerPrivacyRequests
from billing_core.use_cases.archive_purchases import ArchivePurchases
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.check_purchases import CheckPurchases, ExpirePurchases, ReconcilePurchases
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.create_purchase import CreatePurchase, PurchaseRequest
from billing_core.use_cases.drop_parked import DropParked
from billing_core.use_cases.expire_trials import ExpireTrials, RemindTrials
from billing_core.use_cases.export_merchant import ExportMerchant
from billing_core.use_cases.export_purchases import ExportPurchases
from billing_core.use_cases.follow_refunds import FollowRefunds
from billing_core.use_cases.grant_credits import GrantCredits
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.inbound import Outcome
from billing_core.use_cases.jobs import Job, RunDueJobs, ScheduledJob
from billing_core.use_cases.limit_requests import LimitRequests
from billing_core.use_cases.operate_purchases import OperatePurchases
from billing_core.use_cases.operate_trials import OperateTrials
from billing_core.use_cases.purge_idempotency import PurgeIdempotency
from billing_core.use_cases.read_billing import ReadBilling
from billing_core.use_cases.redact_merchants import RedactMerchants
from billing_core.use_cases.register_merchants import RegisterMerchants
from billing_core.use_cases.relay_events import RelayEvents
from billing_core.use_cases.replay_parked import ReplayParked
from billing_core.use_cases.report_sales import ReportSales
from billing_core.use_cases.settle_purchases import SettlePurchases
from billing_core.views import PurchaseView, adapter

RETURN_URL = "https://shop.example/billing"
SAMPLE_PSEUDONYMS = Pseudonyms(b"sample-redaction-key-of-the-test-kit")


# So much that no test meets it by the way.
A_LIMIT = RateLimit(per_minute=60_000, burst=6_000)


def _microseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1_000_000)


class InMemoryBilling:
    """Billing on ports in memory, a clock that stands still and platforms that follow a script.

    The use cases are attributes; `clock`, `platform` (the first of `platforms`), `storage`, `replays`, `publisher`
    and `sender` are what they stand on. Several may share a `storage`, as several processes share a database.
    """

    def __init__(
        self,
        *,
        catalog: Catalog | PriceBook | None = None,
        platforms: Iterable[ScriptedPlatform] = (),
        clock: FixedClock | None = None,
        storage: InMemoryStorage | None = None,
        return_urls: ReturnUrlPolicy | None = None,
        pseudonyms: Pseudonyms | None = SAMPLE_PSEUDONYMS,
    ) -> None:
        catalog = catalog or default_catalog()
        self.price_book = catalog if isinstance(catalog, PriceBook) else PriceBook.of(catalog)
        self.platforms = {platform.name: platform for platform in platforms} or {"sandbox": ScriptedPlatform()}
        self.platform = next(iter(self.platforms.values()))
        self.clock, self.pseudonyms = clock or FixedClock(), pseudonyms
        self.storage = storage or InMemoryStorage(self.clock)
        self.new_id = SequentialIds(self.clock, self.storage.numbers)
        self.replays, self.publisher, self.sender = InMemoryReplayCache(), InMemoryPublisher(), InMemorySender()
        self._wire_requests(return_urls or ReturnUrlPolicy())
        self._wire_messages()
        self._wire_jobs()

    # --- what tests do over and over -------------------------------------------------------------------------------

    @property
    def published(self) -> Sequence[OutboxEvent]:
        """What the broker has, in order."""
        return self.publisher.published

    async def events(self) -> Sequence[Event[Fact]]:
        """This will relay what waits and give every event published so far, decoded."""
        await self.relay_events()
        return [decode_event(event.body) for event in self.published]

    async def register(self, merchant: Merchant | None = None) -> Caller:
        """This will announce a merchant, as its service does, and give a caller for it."""
        merchant = merchant or a_merchant(platform=self.platform.name)
        await self.register_merchants([a_merchant_created(merchant)])
        return a_caller(merchant)

    async def buy(self, caller: Caller, pack: str = "large", *, key: str | None = None) -> PurchaseView:
        """This will open a purchase, under a key of its own unless one is given."""
        key = key or a_request_key(caller.merchant_id).key
        answered = await self.create_purchase(caller, key, PurchaseRequest(pack=pack, return_url=RETURN_URL))
        return adapter(PurchaseView).validate_json(answered.answer.document)

    async def pay(self, purchase: PurchaseView) -> Outcome:
        """This will pay the purchase at its platform and deliver the platform's notice."""
        reference = str(purchase.platform_reference)
        self.platforms[purchase.platform].pay(reference)
        return await self.notify(reference, platform=purchase.platform)

    async def notify(self, reference: str, *, platform: str | None = None) -> Outcome:
        """This will deliver a new notice about the payment, and tell what became of it."""
        notice = a_purchase_updated(reference, platform=platform or self.platform.name)
        (outcome,) = await self.handle_webhooks([notice])
        return outcome

    # --- the wiring ------------------------------------------------------------------------------------------------

    def _wire_requests(self, return_urls: ReturnUrlPolicy) -> None:
        units, clock, new_id = self.storage.units, self.clock, self.new_id
        self.read = ReadBilling(records=self.storage.records, price_book=self.price_book, clock=clock)
        now_us = partial(_microseconds, clock)
        self.limit_requests = LimitRequests(limit=A_LIMIT, usage=InMemoryUsage(now_us), now_us=now_us)
        self.report_sales = ReportSales(reports=self.storage.reports)
        self.export_purchases = ExportPurchases(reports=self.storage.reports)
        self.export_merchant = ExportMerchant(data=self.storage.data, clock=clock)
        self.redact_merchants = RedactMerchants(
            units=units,
            data=self.storage.data,
            replays=self.replays,
            clock=clock,
            new_id=new_id,
            pseudonyms=self.pseudonyms,
        )
        self.activate_trial = ActivateTrial(
            units=units,
            replays=self.replays,
            price_book=self.price_book,
            clock=clock,
            new_id=new_id,
            pseudonyms=self.pseudonyms,
        )
        self.operate_trials = OperateTrials(units=units, price_book=self.price_book, clock=clock, new_id=new_id)
        self.grant_credits = GrantCredits(units=units, price_book=self.price_book)
        self.create_purchase = CreatePurchase(
            requests=self.storage.requests,
            units=units,
            replays=self.replays,
            platforms=self.platforms,
            price_book=self.price_book,
            return_urls=return_urls,
            clock=clock,
            new_id=new_id,
        )

    def _wire_messages(self) -> None:
        units, clock, new_id = self.storage.units, self.clock, self.new_id
        self.ask = AskPlatforms(platforms=self.platforms)
        self.settle = SettlePurchases(units=units, price_book=self.price_book, clock=clock, pseudonyms=self.pseudonyms)
        self.register_merchants = RegisterMerchants(
            units=units, platforms=self.platforms, clock=clock, new_id=new_id, pseudonyms=self.pseudonyms
        )
        self.answer_privacy_requests = AnswerPrivacyRequests(
            units=units,
            platforms=self.platforms,
            redact=self.redact_merchants,
            clock=clock,
            new_id=new_id,
            pseudonyms=self.pseudonyms,
        )
        self.handle_webhooks = HandleWebhooks(
            units=units,
            platforms=self.platforms,
            ask=self.ask,
            settle=self.settle,
            clock=clock,
            new_id=new_id,
            privacy=self.answer_privacy_requests,
            pseudonyms=self.pseudonyms,
        )
        self.consume_merchants = ConsumeMessages(
            source=register_merchants.SOURCE, handle=self.register_merchants, units=units, clock=clock, new_id=new_id
        )
        self.consume_webhooks = ConsumeMessages(
            source=handle_webhooks.SOURCE, handle=self.handle_webhooks, units=units, clock=clock, new_id=new_id
        )
        self.replay_parked = ReplayParked(units=units, sender=self.sender, clock=clock)
        self.drop_parked = DropParked(units=units, clock=clock)

    def _wire_jobs(self) -> None:
        units, clock, storage = self.storage.units, self.clock, self.storage
        check = self.check = CheckPurchases(units=units, ask=self.ask, settle=self.settle, platforms=self.platforms)
        self.operate = OperatePurchases(
            units=units, platforms=self.platforms, ask=self.ask, check=check, settle=self.settle, clock=clock
        )
        self.follow_refunds = FollowRefunds(
            sources=[each for each in self.platforms.values() if not getattr(each, "tells_refunds", True)],
            units=units,
            ask=self.ask,
            settle=self.settle,
            runs=storage.runs,
            clock=clock,
            pseudonyms=self.pseudonyms,
        )
        self.expire_trials = ExpireTrials(units=units, clock=clock)
        self.remind_trials = RemindTrials(units=units, clock=clock)
        self.reconcile_purchases = ReconcilePurchases(units=units, check=check, clock=clock)
        self.expire_purchases = ExpirePurchases(units=units, check=check, clock=clock)
        self.archive_purchases = ArchivePurchases(units=units, clock=clock)
        self.purge_idempotency = PurgeIdempotency(housekeeping=storage.housekeeping, replays=self.replays, clock=clock)
        self.relay_events = RelayEvents(
            outbox=storage.outbox, publisher=self.publisher, leadership=storage.leadership, clock=clock
        )
        self.jobs = RunDueJobs(jobs=self._schedule(), leadership=storage.leadership, runs=storage.runs, clock=clock)

    def _schedule(self) -> Sequence[ScheduledJob]:
        minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
        jobs: dict[str, tuple[Job, timedelta]] = {
            ExpireTrials.name: (self.expire_trials, day),
            ArchivePurchases.name: (self.archive_purchases, day),
            RemindTrials.name: (self.remind_trials, minute),
            ExpirePurchases.name: (self.expire_purchases, minute),
            ReconcilePurchases.name: (self.reconcile_purchases, minute),
            FollowRefunds.name: (self.follow_refunds, hour),
            PurgeIdempotency.name: (self.purge_idempotency, hour),
        }
        return [ScheduledJob(name=name, every=every, run=job, about=name) for name, (job, every) in jobs.items()]
