"""Thirty-two at once over one shop's trial and one idempotency key, round after round, on PostgreSQL."""

from collections import Counter

from tests.faults.crowd import ROUNDS, WAYS, at_once, register, told_in

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.packs import default_price_book
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import IdempotencyKeyInUse, StorageUnavailable, TrialAlreadyUsed
from billing_core.ports.records import PurchaseFilter
from billing_core.testing import InMemoryReplayCache, ScriptedPlatform
from billing_core.testing.builders import a_caller, a_merchant
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.create_purchase import CreatePurchase, PurchaseRequest


def _forgetful() -> InMemoryReplayCache:
    """A cache that is away, so that everybody asks the truth."""
    cache = InMemoryReplayCache()
    cache.is_down = True
    return cache


async def test_one_shop_has_one_trial(database: Database) -> None:
    """Thirty-two merchants of one shop ask at once: one has its trial, and thirty-one are told that it had."""
    activate = ActivateTrial(
        units=PostgresUnits(database),
        replays=_forgetful(),
        price_book=default_price_book(),
        clock=SystemClock(),
        new_id=new_id,
    )

    for number in range(ROUNDS):
        merchants = [a_merchant(platform_account_id=f"shop-{number}") for _ in range(WAYS)]
        await register(database, *merchants)
        outcomes = await at_once(lambda way: activate(a_caller(merchants[way]), "key"))  # noqa: B023 - awaited here
        kinds = Counter(type(each) for each in outcomes)
        assert kinds == {Answered: 1, TrialAlreadyUsed: WAYS - 1}

    told = Counter(kind for kinds in (await told_in(database)).values() for kind in kinds)
    assert told == {"evt.billing.trial.started": ROUNDS, "evt.billing.trial.refused": ROUNDS * (WAYS - 1)}


async def test_one_key_is_one_purchase(database: Database) -> None:
    """Thirty-two requests under one key, each coming again until it is answered: one purchase, one answer, and the
    platform is asked for one checkout."""
    platform = ScriptedPlatform()
    create = CreatePurchase(
        requests=PostgresPurchaseRequests(database),
        units=PostgresUnits(database),
        replays=_forgetful(),
        platforms={platform.name: platform},
        price_book=default_price_book(),
        return_urls=ReturnUrlPolicy(),
        clock=SystemClock(),
        new_id=new_id,
    )
    wanted, records = (
        PurchaseRequest(pack="large", return_url="https://shop.example/billing"),
        PostgresRecords(database),
    )

    for _ in range(ROUNDS):
        merchant = a_merchant()
        await register(database, merchant)
        caller = a_caller(merchant)
        outcomes = await at_once(
            lambda _: create(caller, "key", wanted),  # noqa: B023 - awaited here
            again_on=(StorageUnavailable, IdempotencyKeyInUse),
        )
        answers = {each.answer if isinstance(each, Answered) else each for each in outcomes}
        assert len(answers) == 1
        found = await records.purchases(PurchaseFilter(merchant_id=merchant.merchant_id))
        assert len(found.purchases) == 1

    assert len(platform.calls_of("create_checkout")) == ROUNDS
    told = {tuple(kinds) for kinds in (await told_in(database)).values()}
    assert told == {("evt.billing.purchase.created",)}
