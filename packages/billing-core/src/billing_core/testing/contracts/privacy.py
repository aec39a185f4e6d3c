"""The contract of what is held about a merchant: read whole, page by page."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import Answer, KeyRecord
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.ports.privacy import PrivacyRecord
from billing_core.ports.storage import Dropped, ParkedMessage, TrialClaim
from billing_core.testing.builders import a_grant, a_merchant, a_purchase, a_request_key, a_trial, an_id
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered, stored

DAY = timedelta(days=1)
A_PSEUDONYM = f"redacted:{'0123456789abcdef' * 4}"


class MerchantDataContract(StorageSuite):
    """Every promise of `MerchantData`."""

    async def test_of_nobody_nothing_is_held(self, storage: BillingStorage) -> None:
        """A merchant nobody announced has nothing, whoever else has."""
        merchant = await registered(storage)
        await stored(storage, a_purchase(merchant), a_trial(merchant))
        data = storage.data

        assert await data.merchant("nobody") is None
        assert await data.trial_claim("sandbox", "nobody") is None
        assert list(await data.trials("nobody")) == []
        assert list(await data.purchases("nobody", None, 9)) == []
        assert list(await data.history("nobody", None, 9)) == []
        assert list(await data.grants("nobody", None, 9)) == []
        assert list(await data.events("nobody", 0, 9)) == []
        assert list(await data.keys("nobody", None, 9)) == []
        assert list(await data.privacy_records("nobody")) == []
        assert await data.redaction_keys() == frozenset()

    async def test_the_record_the_claim_and_every_trial(self, storage: BillingStorage) -> None:
        """The trials oldest first; the claim is the account's, whoever's trial it was."""
        merchant = await registered(storage)
        older = a_trial(merchant, status=TrialStatus.ENDED, started_at=MOMENT - 30 * DAY)
        await stored(storage, newer := a_trial(merchant), older)
        async with storage.units() as uow:
            await uow.trials.claim(newer)
            await uow.commit()

        claim = await storage.data.trial_claim(merchant.platform, merchant.platform_account_id)

        assert await storage.data.merchant(merchant.merchant_id) == merchant
        assert claim == TrialClaim(merchant_id=merchant.merchant_id, trial_id=newer.trial_id)
        assert list(await storage.data.trials(merchant.merchant_id)) == [older, newer]

    async def test_purchases_come_page_by_page_the_archived_ones_among_them(self, storage: BillingStorage) -> None:
        """By id, each once and whole, and nobody else's."""
        merchant = await registered(storage)
        statuses = (PurchaseStatus.COMPLETED, PurchaseStatus.PENDING) * 2
        mine = [
            a_purchase(merchant, status=status, created_at=MOMENT + day * DAY) for day, status in enumerate(statuses)
        ]
        await stored(storage, *mine, a_purchase(await registered(storage)))
        await archived(storage)

        first = await storage.data.purchases(merchant.merchant_id, None, 3)
        rest = await storage.data.purchases(merchant.merchant_id, first[-1].purchase.purchase_id, 3)

        assert [each.purchase for each in (*first, *rest)] == mine
        assert [each.archived for each in (*first, *rest)] == [True, False, True, False]

    async def test_the_history_comes_by_subject_and_number(self, storage: BillingStorage) -> None:
        """Every change with what it is about, in pages that may end in the middle of a subject."""
        merchant = await registered(storage)
        change = created(merchant)
        changes = [change, *(replace(change, number=number, fact=None) for number in (2, 10))]
        grant = a_grant(merchant).change(change.by)
        await recorded(storage, *changes, grant, created(await registered(storage)))
        expected = sorted([*changes, grant], key=lambda each: (each.subject_id, each.number))

        first = await storage.data.history(merchant.merchant_id, None, 2)
        after = (first[-1].subject_id, first[-1].entry.number)
        rest = await storage.data.history(merchant.merchant_id, after, 9)

        told = [(each.subject, each.subject_id, each.entry.number, each.entry.actor) for each in (*first, *rest)]
        assert told == [(each.subject, each.subject_id, each.number, each.by.actor) for each in expected]

    async def test_grants_events_and_keys_come_page_by_page(self, storage: BillingStorage) -> None:
        """In the order of their ids, numbers, and routes; events with when they were published."""
        merchant, other = await registered(storage), await registered(storage)
        grants = await granted(storage, *(a_grant(merchant) for _ in range(3)), a_grant(other))
        await recorded(storage, *(created(merchant) for _ in range(3)), created(other))
        sent = (await storage.outbox.unpublished(1))[0]
        await storage.outbox.mark_published([sent.event_id], MOMENT)
        keys = await remembered(storage, merchant.merchant_id, "B z", "A b", "A a")
        await remembered(storage, other.merchant_id, "A c")
        name, data = merchant.merchant_id, storage.data

        given = [await data.grants(name, None, 2), await data.grants(name, grants[1].grant_id, 2)]
        events = [await data.events(name, 0, 2), await data.events(name, 2, 2)]
        found = [await data.keys(name, None, 2), await data.keys(name, keys[1].key, 2)]

        assert [each for page in given for each in page] == grants[:3]
        assert [each.event.sequence for page in events for each in page] == [1, 2, 3]
        assert [each.published_at for page in events for each in page] == [MOMENT, None, None]
        assert events[0][0].event == sent
        assert [list(page) for page in found] == [[keys[2], keys[1]], [keys[0]]]

    async def test_parked_messages_are_found_by_a_word_anywhere_in_them(self, storage: BillingStorage) -> None:
        """In bytes that may be anything, in headers and in each text, whatever the capitals; and by nothing else."""
        found = [
            a_parked(body=b'{"shop": "gid:\\/\\/shop\\/1"}'),
            a_parked(body=b"\xff\x00 Shop-1.EXAMPLE \xfe"),
            a_parked(headers={"X-Shop": "shop-1.example"}),
            a_parked(reason="Shop-1.Example is not there"),
            a_parked(message_id="of-shop-1.example"),
            a_parked(dropped=Dropped(at=MOMENT, by="operator:jo", reason="by shop-1.example")),
        ]
        async with storage.units() as uow:
            await uow.parked.add([*found, a_parked(body=b'{"shop": "shop-2.example"}'), a_parked()])
            await uow.commit()
        words = ("gid://shop/1", r"gid:\/\/shop\/1", "shop-1.example")

        first = await storage.data.parked(words, None, 4)
        rest = await storage.data.parked(words, first[-1].parked_id, 4)

        assert [*first, *rest] == found
        assert list(await storage.data.parked(("elsewhere",), None, 4)) == []
        assert list(await storage.data.parked((), None, 4)) == []

    async def test_what_was_recorded_comes_back_oldest_first(self, storage: BillingStorage) -> None:
        """Whole, each merchant's by itself; what is about no merchant is nobody's."""
        merchant = a_merchant()
        newer, older = (a_privacy_record(merchant_id=merchant.merchant_id, at=MOMENT + day * DAY) for day in (1, 0))
        nobodys = a_privacy_record(merchant_id=None, account=None, key_id=None, reason="")
        await _kept(storage, newer, older, a_privacy_record(key_id="b" * 16), nobodys)

        assert list(await storage.data.privacy_records(merchant.merchant_id)) == [older, newer]
        assert await storage.data.redaction_keys() == {"a" * 16, "b" * 16}


def a_privacy_record(**values: Any) -> PrivacyRecord:
    """That a merchant was redacted."""
    defaults: dict[str, Any] = {
        "record_id": an_id(),
        "at": MOMENT,
        "what": "redacted",
        "platform": "shopify",
        "account": A_PSEUDONYM,
        "merchant_id": "somebody",
        "actor": "operator:ada",
        "reason": "asked — «ja»",
        "key_id": "a" * 16,
    }
    return PrivacyRecord(**defaults | values)


def a_parked(**values: Any) -> ParkedMessage:
    """A parked message with an id of its own."""
    defaults: dict[str, Any] = {
        "parked_id": (parked_id := an_id()),
        "source": "a-consumer",
        "message_id": f"m-{parked_id}",
        "subject": "evt.x",
        "body": b"{}",
        "reason": "no reason",
        "parked_at": MOMENT,
    }
    return ParkedMessage(**defaults | values)


async def _kept(storage: BillingStorage, *records: PrivacyRecord) -> None:
    async with storage.units() as uow:
        await uow.redactions.record(records)
        await uow.commit()


async def archived(storage: BillingStorage) -> None:
    """This will archive every purchase that is over."""
    async with storage.units() as uow:
        await uow.purchases.archive(MOMENT + 99 * DAY, 99)
        await uow.commit()


async def granted(storage: BillingStorage, *grants: CreditGrant) -> list[CreditGrant]:
    """Grants that are stored."""
    async with storage.units() as uow:
        for each in grants:
            await uow.grants.add(each)
        await uow.commit()
    return list(grants)


async def remembered(storage: BillingStorage, merchant_id: str, *names: str) -> list[KeyRecord]:
    """Answered keys, each named by its route and key."""
    records = []
    async with storage.units() as uow:
        for name in names:
            route, _, key = name.partition(" ")
            record = KeyRecord(
                key=a_request_key(merchant_id, route=route, key=key), fingerprint="f", created_at=MOMENT
            ).answered(Answer(outcome="created", document=b"{}"))
            await uow.keys.save(record)
            records.append(record)
        await uow.commit()
    return records
