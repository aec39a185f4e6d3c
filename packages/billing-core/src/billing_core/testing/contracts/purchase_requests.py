"""The contract of the short way of a request for a purchase."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from billing_core.domain.idempotency import Answer, KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import default_catalog
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus, create_purchase
from billing_core.errors import StorageConflict
from billing_core.ports.storage import Standing
from billing_core.testing.builders import a_merchant, a_purchase, a_request_key, an_id, an_origin
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

SECOND = timedelta(seconds=1)
ANSWER = Answer(outcome="created", document=b"{}")


class PurchaseRequestsContract(StorageSuite):
    """Every promise of `PurchaseRequests`."""

    async def test_a_look_finds_nothing_of_an_unknown_merchant(self, storage: BillingStorage) -> None:
        """It is nobody, not somebody without anything."""
        await registered(storage)

        assert await storage.requests.look(a_request_key("nobody")) is None

    async def test_a_look_at_a_merchant_who_has_done_nothing(self, storage: BillingStorage) -> None:
        """The merchant whole, and nothing else."""
        merchant = await registered(storage, a_merchant(platform_domain="shop.example", currency="EUR"))

        assert await storage.requests.look(a_request_key(merchant.merchant_id)) == Standing(
            merchant=merchant, sequence=0, record=None, open_purchases=[]
        )

    async def test_a_look_finds_the_open_purchases_newest_first(self, storage: BillingStorage) -> None:
        """Not those that ended, nor another merchant's, and each whole."""
        merchant, other = await registered(storage), await registered(storage)
        mine = [a_purchase(merchant) for _ in range(2)]
        await stored(storage, *mine, a_purchase(merchant, status=PurchaseStatus.COMPLETED), a_purchase(other))

        standing = await storage.requests.look(a_request_key(merchant.merchant_id))

        assert standing is not None
        assert standing.open_purchases == mine[::-1]

    async def test_a_look_finds_what_is_remembered_of_the_key(self, storage: BillingStorage) -> None:
        """Of this key only, also where there are purchases beside it."""
        _, attempt = await _opened(storage)
        key = attempt.key

        standing, beside = [await storage.requests.look(each) for each in (key, replace(key, key="another"))]

        assert standing is not None
        assert beside is not None
        assert (standing.record, beside.record) == (attempt, None)
        assert standing.sequence == beside.sequence == 1

    async def test_what_was_opened_is_stored_whole(self, storage: BillingStorage) -> None:
        """The purchase, its history, its event, the claim on its short reference and the key."""
        purchase, record = await _opened(storage)

        assert await storage.records.purchase(purchase.merchant_id, purchase.purchase_id) == purchase
        assert [each.what for each in await storage.records.history(purchase.merchant_id, purchase.purchase_id)] == [
            "created"
        ]
        (event,) = await storage.outbox.unpublished(10)
        assert (event.merchant_id, event.sequence) == (purchase.merchant_id, 1)
        async with storage.units() as uow:
            assert await uow.keys.lock(record.key) == record
            owners = await uow.purchases.owners([(purchase.platform, purchase.short_reference)])
        assert [each.purchase_id for each in owners.values()] == [purchase.purchase_id]

    async def test_who_looked_before_an_event_opens_nothing(self, storage: BillingStorage) -> None:
        """What was decided then may be wrong now."""
        merchant = await registered(storage)
        first, second = [await _look(storage, a_request_key(merchant.merchant_id)) for _ in range(2)]
        await _open(storage, first)

        with pytest.raises(StorageConflict):
            await _open(storage, second)

        standing = await _look(storage, second[1])
        assert (len(standing[0].open_purchases), standing[0].sequence, standing[0].record) == (1, 1, None)

    async def test_who_looked_before_the_merchant_was_redacted_opens_nothing(self, storage: BillingStorage) -> None:
        """A redaction is no event; its merchant buys nothing all the same, and is named in no new purchase."""
        merchant = await registered(storage)
        looked = await _look(storage, a_request_key(merchant.merchant_id))
        async with storage.units() as uow:
            await uow.merchants.save([_redacted(merchant)])
            await uow.commit()

        with pytest.raises(StorageConflict):
            await _open(storage, looked)

        assert (await _look(storage, looked[1]))[0].open_purchases == []
        assert await storage.outbox.unpublished(10) == []

    async def test_who_is_redacting_the_merchant_is_waited_for(self, storage: BillingStorage) -> None:
        """What the short way read before is looked at again."""
        merchant = await registered(storage)
        looked = await _look(storage, a_request_key(merchant.merchant_id))

        async with storage.units() as first:
            await first.merchants.save([_redacted(merchant)])
            await first.flush()
            waiting = await self.stays_waiting(_open(storage, looked))
            await first.commit()

        with pytest.raises(StorageConflict):
            await in_time(waiting)

    async def test_a_key_that_is_taken_opens_nothing(self, storage: BillingStorage) -> None:
        """Also where the merchant has had no event since."""
        merchant = await registered(storage)
        looked = await _look(storage, a_request_key(merchant.merchant_id))
        async with storage.units() as uow:
            await uow.keys.save(KeyRecord(key=looked[1], fingerprint="f", created_at=MOMENT))
            await uow.commit()

        with pytest.raises(StorageConflict):
            await _open(storage, looked)

        assert (await _look(storage, looked[1]))[0].open_purchases == []
        assert await storage.outbox.unpublished(10) == []

    async def test_of_16_at_once_one_is_opened(self, storage: BillingStorage) -> None:
        """All of them looked before any was stored."""
        merchant = await registered(storage)
        looked = [await _look(storage, a_request_key(merchant.merchant_id)) for _ in range(16)]

        outcomes = await asyncio.gather(*[_open(storage, each) for each in looked], return_exceptions=True)

        failed = [each for each in outcomes if isinstance(each, BaseException)]
        assert [type(each) for each in failed] == [StorageConflict] * 15
        assert [event.sequence for event in await storage.outbox.unpublished(20)] == [1]

    async def test_who_holds_the_merchant_is_waited_for(self, storage: BillingStorage) -> None:
        """The long way goes first, and the short way then knows whether it was overtaken."""
        merchant = await registered(storage)
        looked = await _look(storage, a_request_key(merchant.merchant_id))

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            waiting = await self.stays_waiting(_open(storage, looked))
            decision = _new(merchant)
            await first.purchases.add([decision.purchase])
            await first.journal.record(decision.changes)
            await first.commit()

        with pytest.raises(StorageConflict):
            await in_time(waiting)

    async def test_what_is_handed_out_is_stored_whole(self, storage: BillingStorage) -> None:
        """The purchase with its checkout, its history, the claim on the reference, and the answer."""
        purchase, record = await _opened(storage)
        taken = _taken(purchase)

        await storage.requests.hand_out(purchase, taken, record, record.answered(ANSWER))

        assert await storage.records.purchase(purchase.merchant_id, purchase.purchase_id) == taken.purchase
        history = await storage.records.history(purchase.merchant_id, purchase.purchase_id)
        assert [each.what for each in history] == ["created", "pending"]
        async with storage.units() as uow:
            assert await uow.keys.lock(record.key) == record.answered(ANSWER)
            owners = await uow.purchases.owners([(purchase.platform, "pay-1")])
        assert [each.purchase_id for each in owners.values()] == [purchase.purchase_id]

    async def test_a_purchase_that_was_changed_is_not_handed_out(self, storage: BillingStorage) -> None:
        """Whatever changed of it, and whether or not that is told in its history."""
        for change in ({"version": 2}, {"check_at": MOMENT + 2 * SECOND}, {"observed_at": MOMENT}):
            purchase, record = await _opened(storage)
            async with storage.units() as uow:
                await uow.purchases.lock([(purchase.merchant_id, purchase.purchase_id)])
                await uow.purchases.save([replace(purchase, **change)])
                await uow.commit()

            with pytest.raises(StorageConflict):
                await storage.requests.hand_out(purchase, _taken(purchase), record, record.answered(ANSWER))

            assert (await _look(storage, record.key))[0].record == record

    async def test_a_key_that_has_another_holder_is_not_answered(self, storage: BillingStorage) -> None:
        """A successor holds it longer, works on another purchase, or has answered."""
        for successor in (
            {"locked_until": MOMENT + 9 * SECOND},
            {"purchase_id": an_id()},
            {"locked_until": None, "answer": ANSWER},
        ):
            purchase, record = await _opened(storage)
            async with storage.units() as uow:
                await uow.keys.save(replace(record, **successor))
                await uow.commit()

            with pytest.raises(StorageConflict):
                await storage.requests.hand_out(
                    purchase, _taken(purchase, "pay-9"), record, record.answered(replace(ANSWER, outcome="reused"))
                )

            assert await storage.records.purchase(purchase.merchant_id, purchase.purchase_id) == purchase
            async with storage.units() as uow:
                assert await uow.purchases.owners([(purchase.platform, "pay-9")]) == {}

    async def test_a_reference_of_another_purchase_is_not_handed_out(self, storage: BillingStorage) -> None:
        """One payment is never two purchases'."""
        (one, first), (other, second) = [await _opened(storage) for _ in range(2)]
        await storage.requests.hand_out(one, _taken(one), first, first.answered(ANSWER))

        with pytest.raises(StorageConflict):
            await storage.requests.hand_out(other, _taken(other), second, second.answered(ANSWER))

        assert await storage.records.purchase(other.merchant_id, other.purchase_id) == other


async def _look(storage: BillingStorage, key: RequestKey) -> tuple[Standing, RequestKey]:
    standing = await storage.requests.look(key)
    assert standing is not None
    return standing, key


async def _open(storage: BillingStorage, looked: tuple[Standing, RequestKey]) -> tuple[Purchase, KeyRecord]:
    standing, key = looked
    decision = _new(standing.merchant)
    record = KeyRecord(key=key, fingerprint="f" * 64, created_at=MOMENT)
    record = record.locked(MOMENT, decision.purchase.purchase_id)
    await storage.requests.open(standing, decision, record)
    return decision.purchase, record


async def _opened(storage: BillingStorage) -> tuple[Purchase, KeyRecord]:
    merchant = await registered(storage)
    return await _open(storage, await _look(storage, a_request_key(merchant.merchant_id)))


def _redacted(merchant: Merchant) -> Merchant:
    return replace(merchant, platform_account_id=f"redacted:{'0' * 64}")


def _new(merchant: Merchant) -> PurchaseDecision:
    offer = default_catalog().offer("large", wanted_currency=None, home_currency=merchant.currency)
    day = timedelta(days=1)
    return create_purchase(
        an_id(),
        merchant,
        offer,
        return_url="https://shop.example/",
        lifetime=day,
        test=False,
        now=MOMENT,
        by=an_origin(),
    )


def _taken(purchase: Purchase, reference: str = "pay-1") -> PurchaseDecision:
    return purchase.checkout_made(reference, "https://pay.example/1", MOMENT + SECOND, an_origin())
