"""Buy a credit pack: a purchase and one page where it can be paid.

The platform call stands between two transactions. The first commits `created`, with everything the call will send,
frozen; the second takes the checkout the platform made. A crash in between is finished by the retry of the same key,
by the next request for the same pack, or by the reconciler, and only one checkout URL is ever handed out.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from billing_core.domain.idempotency import Answer, KeyRecord, RequestKey, fingerprint
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Offer, PriceBook
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus, create_purchase
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import (
    IdempotencyKeyInUse,
    PlatformError,
    PlatformRejected,
    PurchaseNotFound,
    StorageConflict,
    TooManyOpenPurchases,
)
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.platforms import Checkout, PaymentPlatform, PlatformAccount
from billing_core.ports.storage import OpenUnitOfWork, PurchaseRequests, UnitOfWork
from billing_core.use_cases.answers import Answered, remember, replay
from billing_core.use_cases.ask_platforms import PATIENCE_S, in_time
from billing_core.use_cases.caller import Caller
from billing_core.views import PurchaseView

ROUTE = "POST /api/billing/purchases"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """What the merchant wants: a pack's code, where to return to, and a currency where not the usual one."""

    pack: str
    return_url: str
    currency: str | None = None

    @property
    def fingerprint(self) -> str:
        """What makes it the same request again."""
        fields = {"pack": self.pack, "return_url": self.return_url, "currency": self.currency}
        return fingerprint({"route": ROUTE, **fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt under a key: the purchase it works on, and the answer where there is one already."""

    record: KeyRecord
    purchase: Purchase
    account: PlatformAccount
    outcome: str


def _begun(record: KeyRecord, created: PurchaseDecision, merchant: Merchant) -> _Attempt:
    return _Attempt(
        record=record.locked(record.created_at, created.purchase.purchase_id),
        purchase=created.purchase,
        account=PlatformAccount.of(merchant),
        outcome="created",
    )


class CreatePurchase:
    """Opens a purchase and its checkout."""

    def __init__(
        self,
        *,
        requests: PurchaseRequests,
        units: OpenUnitOfWork,
        replays: ReplayCache,
        platforms: Mapping[str, PaymentPlatform],
        price_book: PriceBook,
        return_urls: ReturnUrlPolicy,
        clock: Clock,
        new_id: NewId,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._requests, self._units, self._replays, self._platforms = requests, units, replays, platforms
        self._price_book, self._return_urls = price_book, return_urls
        self._clock, self._new_id, self._patience_s = clock, new_id, patience_s

    async def __call__(self, caller: Caller, idempotency_key: str, request: PurchaseRequest) -> Answered:
        """This will open a purchase (outcome `created`), or give the open one of the same pack (`reused`), or the
        first answer again.

        Raises InvalidRequest, InvalidPack, MerchantNotFound, PlatformMismatch, TooManyOpenPurchases,
        IdempotencyKeyReused, IdempotencyKeyInUse, and a PlatformError where the platform made no checkout; then
        nothing is remembered as the answer, and a retry resumes the same purchase.
        """
        self._return_urls.check(request.return_url)
        key = RequestKey(merchant_id=caller.merchant_id, route=ROUTE, key=idempotency_key)
        if replayed := await replay(self._replays, key, request.fingerprint):
            return replayed
        opened = await self._open(caller, key, request)
        if isinstance(opened, _Attempt):
            checkout = await self._make_checkout(opened, caller)
            opened = await self._hand_out(opened, checkout, caller)
        return await remember(self._replays, key, request.fingerprint, opened)

    # --- before the platform is called -----------------------------------------------------------------------------

    async def _open(self, caller: Caller, key: RequestKey, request: PurchaseRequest) -> Answered | _Attempt:
        standing = await self._requests.look(key)
        merchant, now = caller.known_to_act(None if standing is None else standing.merchant), self._clock.now()
        if standing is not None and standing.record is None:
            choice = self._choose(merchant, standing.open_purchases, request, caller, now)
            if isinstance(choice, PurchaseDecision):
                attempt = _begun(KeyRecord(key=key, fingerprint=request.fingerprint, created_at=now), choice, merchant)
                with suppress(StorageConflict):  # then somebody else was faster: one after the other
                    await self._requests.open(standing, choice, attempt.record)
                    return attempt
        async with self._units(caller.merchant_id) as uow:
            opened = await self._open_in_turn(uow, caller, key, request)
            await uow.commit()
        return opened

    async def _open_in_turn(
        self, uow: UnitOfWork, caller: Caller, key: RequestKey, request: PurchaseRequest
    ) -> Answered | _Attempt:
        merchant = caller.known_to_act(await uow.merchants.lock(caller.merchant_id))
        now = self._clock.now()
        record = await uow.keys.lock(key)
        if record is None:
            record = KeyRecord(key=key, fingerprint=request.fingerprint, created_at=now)
        elif answer := record.admit(request.fingerprint, now):
            return Answered(answer=answer, replayed=True)
        purchase, outcome = await self._purchase_of(uow, record, merchant, request, caller, now)
        if purchase.checkout_url is not None or not purchase.is_open:
            return await _answer(uow, record, purchase, outcome, now)
        record = record.locked(now, purchase.purchase_id)
        await uow.keys.save(record)
        return _Attempt(record=record, purchase=purchase, account=PlatformAccount.of(merchant), outcome=outcome)

    async def _purchase_of(
        self,
        uow: UnitOfWork,
        record: KeyRecord,
        merchant: Merchant,
        request: PurchaseRequest,
        caller: Caller,
        now: datetime,
    ) -> tuple[Purchase, str]:
        if record.purchase_id is not None:
            resumed = await uow.purchases.get(caller.merchant_id, record.purchase_id)
            if resumed is None:
                raise PurchaseNotFound
            if not _was_refused(resumed, now):
                return resumed, "created"
            # An attempt that outlived its lock was refused meanwhile, and could not free a key that was ours by then.
        choice = self._choose(merchant, await uow.purchases.open_of(caller.merchant_id), request, caller, now)
        if isinstance(choice, Purchase):
            return choice, "reused"
        await uow.purchases.add([choice.purchase])
        await uow.journal.record(choice.changes)
        return choice.purchase, "created"

    def _choose(
        self,
        merchant: Merchant,
        open_purchases: Sequence[Purchase],
        request: PurchaseRequest,
        caller: Caller,
        now: datetime,
    ) -> Purchase | PurchaseDecision:
        """The open purchase of the same pack, or a new one."""
        catalog = self._price_book.at(now)
        offer = catalog.offer(request.pack, wanted_currency=request.currency, home_currency=merchant.currency)
        usable = [each for each in open_purchases if each.is_usable(now)]
        if already := next((each for each in usable if _same_offer(each.offer, offer)), None):
            return already
        if len(usable) >= catalog.max_open_purchases:
            raise TooManyOpenPurchases(catalog.max_open_purchases)
        platform = self._platforms[merchant.platform]
        return create_purchase(
            self._new_id(),
            merchant,
            offer,
            return_url=request.return_url,
            lifetime=platform.checkout_lifetime,
            test=platform.test_mode,
            now=now,
            by=caller.origin,
        )

    # --- the call, and after ---------------------------------------------------------------------------------------

    async def _make_checkout(self, attempt: _Attempt, caller: Caller) -> Checkout:
        platform = self._platforms[attempt.purchase.platform]
        try:
            checkout = platform.create_checkout(attempt.purchase, attempt.account)
            return await in_time(platform.name, checkout, self._patience_s)
        except PlatformRejected as refusal:
            await self._give_up(attempt, refusal, caller)
            raise
        except PlatformError:
            async with self._units(caller.merchant_id) as uow:
                if await _stored(uow, attempt) == attempt.record:
                    await uow.keys.save(attempt.record.released())
                await uow.commit()
            raise

    async def _give_up(self, attempt: _Attempt, refusal: PlatformRejected, caller: Caller) -> None:
        """The platform refused for good: the purchase failed, and the key is free for another try."""
        purchase_id = attempt.purchase.purchase_id
        async with self._units(caller.merchant_id) as uow:
            held = await uow.purchases.lock([(caller.merchant_id, purchase_id)])
            failed = held[purchase_id].fail(refusal.code, self._clock.now(), caller.origin)
            await uow.purchases.save([failed.purchase])
            await uow.journal.record(failed.changes)
            if await _stored(uow, attempt) == attempt.record:
                await uow.keys.save(attempt.record.given_up())
            await uow.commit()

    async def _hand_out(self, attempt: _Attempt, checkout: Checkout, caller: Caller) -> Answered:
        now = self._clock.now()
        taken = attempt.purchase.checkout_made(checkout.platform_reference, checkout.url, now, caller.origin)
        answer = _answer_of(taken.purchase, attempt.outcome, now)
        try:
            await self._requests.hand_out(attempt.purchase, taken, attempt.record, attempt.record.answered(answer))
        except StorageConflict:  # the purchase or the key was somebody else's meanwhile
            return await self._hand_out_in_turn(attempt, checkout, caller)
        return Answered(answer=answer, replayed=False)

    async def _hand_out_in_turn(self, attempt: _Attempt, checkout: Checkout, caller: Caller) -> Answered:
        purchase_id = attempt.purchase.purchase_id
        async with self._units(caller.merchant_id) as uow:
            held = await uow.purchases.lock([(caller.merchant_id, purchase_id)])
            now = self._clock.now()
            taken = held[purchase_id].checkout_made(checkout.platform_reference, checkout.url, now, caller.origin)
            if taken.changes:
                await uow.purchases.claim([taken.purchase])
                await uow.purchases.save([taken.purchase])
                await uow.journal.record(taken.changes)
            stored = await _stored(uow, attempt)
            answered = None
            if stored is not None and stored.answer is not None:
                answered = Answered(answer=stored.answer, replayed=True)  # a successor was faster
            elif stored is None or stored.purchase_id == purchase_id:
                answered = await _answer(uow, attempt.record, taken.purchase, attempt.outcome, now)
            await uow.commit()
        if answered is None:  # a successor has gone on to another purchase, and will answer
            raise IdempotencyKeyInUse(retry_after_s=1)
        return answered


async def _stored(uow: UnitOfWork, attempt: _Attempt) -> KeyRecord | None:
    """What is remembered of the attempt's key now: an attempt that outlived its lock may have a successor, whose lock
    and answer are not its to change."""
    stored = await uow.keys.lock(attempt.record.key)
    if stored is None:  # forgotten meanwhile: with the merchant held nobody else begins under it
        await uow.merchants.lock(attempt.record.key.merchant_id)
        stored = await uow.keys.lock(attempt.record.key)
    return stored


async def _answer(uow: UnitOfWork, record: KeyRecord, purchase: Purchase, outcome: str, now: datetime) -> Answered:
    answer = _answer_of(purchase, outcome, now)
    await uow.keys.save(record.answered(answer))
    return Answered(answer=answer, replayed=False)


def _answer_of(purchase: Purchase, outcome: str, now: datetime) -> Answer:
    return Answer(outcome=outcome, document=PurchaseView.of(purchase, now).to_json())


def _was_refused(purchase: Purchase, now: datetime) -> bool:
    """Whether the platform refused it for good, so that nobody was ever sent to a checkout. After its deadline it may
    have failed because no checkout was made in time, and that is the answer."""
    return purchase.status is PurchaseStatus.FAILED and purchase.checkout_url is None and now < purchase.expires_at


def _same_offer(one: Offer, other: Offer) -> bool:
    """Whether the merchant would get and pay the same, whatever the catalogue's version is called."""
    return (one.pack, one.credits, one.bonus_credits, one.price) == (
        other.pack, other.credits, other.bonus_credits, other.price
    )  # fmt: skip
