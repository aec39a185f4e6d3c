"""What callers get when all is well, and the refusals billing itself decides."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.apps.http.door import RETURN_URL, WANTED, Door, assert_problem, open_door, signed, some_claims

from billing_core import default_catalog
from billing_core.errors import PlatformRejected, PlatformThrottled, PlatformUnavailable
from billing_core.testing import InMemoryBilling, a_caller, a_merchant

TRIALS = "/api/billing/trials"
PURCHASES = "/api/billing/purchases"
REPLAYED = "idempotency-replayed"


class TestTrials:
    async def test_a_trial_is_created_once_and_shown(self, door: Door) -> None:
        """Starting the trial answers 201 with it, and asking afterwards shows the same."""
        before = await door.get(TRIALS)

        created = await door.post(TRIALS, {})

        assert before.json()["status"] == "available"
        assert created.status_code == 201
        assert created.json()["status"] == "active"
        assert created.headers["location"] == TRIALS
        assert (await door.get(created.headers["location"])).json() == created.json()

    async def test_a_second_trial_is_refused(self, door: Door) -> None:
        """The shop has one trial, whatever key is used."""
        await door.post(TRIALS, {})

        again = await door.post(TRIALS, {})

        assert_problem(again, 409, "TRIAL_ALREADY_USED")

    async def test_an_unknown_merchant_has_none(self, door: Door) -> None:
        """A token for a merchant Billing has not heard of finds nothing."""
        door.token = signed(some_claims(door.billing.clock, "stranger"))

        answers = [await door.get(TRIALS), await door.post(TRIALS, {}), await door.get("/api/billing")]

        for answer in answers:
            assert_problem(answer, 404, "MERCHANT_NOT_FOUND")


class TestPurchases:
    async def test_a_purchase_is_created_and_then_reused(self, door: Door) -> None:
        """The first request opens a purchase (201); another key for the same pack gets the open one (200)."""
        created = await door.post(PURCHASES, WANTED)
        reused = await door.post(PURCHASES, WANTED)

        assert created.status_code == 201
        assert created.json()["status"] == "pending"
        assert created.json()["price"] == {"amount_minor": 6999, "currency": "USD", "amount": "69.99"}
        assert (reused.status_code, reused.json()["id"]) == (200, created.json()["id"])
        assert "location" not in reused.headers
        assert (await door.get(created.headers["location"])).json() == created.json()

    @pytest.mark.parametrize(("first", "second"), [("key-1", "key-1"), ("key-1", '"key-1"'), ('"a\\"b\\\\"', 'a"b\\')])
    async def test_a_repeat_is_replayed(self, door: Door, first: str, second: str) -> None:
        """The same key, bare or quoted, repeats status, body and Location even after the purchase was paid."""
        created = await door.post(PURCHASES, WANTED, key=first)
        door.billing.platform.pay(created.json()["platform_reference"])
        await door.billing.notify(created.json()["platform_reference"])

        replayed = await door.post(PURCHASES, WANTED, key=second)

        assert (replayed.status_code, replayed.content) == (201, created.content)
        assert replayed.headers["location"] == created.headers["location"]
        assert (created.headers.get(REPLAYED), replayed.headers.get(REPLAYED)) == (None, "true")
        assert len(door.billing.platform.calls_of("create_checkout")) == 1

    async def test_a_reused_answer_is_replayed_as_reused(self, door: Door) -> None:
        """A replay repeats 200 where the first answer was 200, without the cache too."""
        await door.post(PURCHASES, WANTED)
        await door.post(PURCHASES, WANTED, key="second")
        door.billing.replays.lose_everything()

        replayed = await door.post(PURCHASES, WANTED, key="second")

        assert (replayed.status_code, replayed.headers[REPLAYED]) == (200, "true")

    async def test_a_key_is_for_one_request(self, door: Door) -> None:
        """The same key with another body is refused and nothing is opened."""
        await door.post(PURCHASES, WANTED, key="key-1")

        other = await door.post(PURCHASES, WANTED | {"pack": "small"}, key="key-1")

        assert_problem(other, 422, "IDEMPOTENCY_KEY_REUSED")

    async def test_too_many_open_purchases_are_refused(self) -> None:
        """One more open purchase than the catalogue allows is refused, and nothing is stored."""
        billing = InMemoryBilling(catalog=replace(default_catalog(), max_open_purchases=1))
        async with open_door(billing) as door:
            await door.post(PURCHASES, WANTED)
            before = door.stored()

            refused = await door.post(PURCHASES, WANTED | {"pack": "small"})

            assert_problem(refused, 409, "TOO_MANY_OPEN_PURCHASES")
            assert door.stored() == before

    @pytest.mark.parametrize(
        ("failure", "retryable", "retry_after"),
        [
            (PlatformUnavailable("sandbox", "secret words of the provider"), True, None),
            (PlatformThrottled("sandbox", "secret words of the provider", retry_after_s=2.5), True, "3"),
            (PlatformRejected("sandbox", "secret words of the provider"), False, None),
        ],
    )
    async def test_a_platform_that_fails_is_told_without_its_words(
        self, door: Door, failure: PlatformUnavailable, retryable: bool, retry_after: str | None
    ) -> None:
        """502 says whether asking again helps, never what the provider said, and the retry gets its purchase."""
        door.billing.platform.fail("create_checkout", failure)

        failed = await door.post(PURCHASES, WANTED, key="key-1")
        retried = await door.post(PURCHASES, WANTED, key="key-1")

        problem = assert_problem(failed, 502, "PLATFORM_ERROR")
        assert (problem["retryable"], problem["platform"]) == (retryable, "sandbox")
        assert failed.headers.get("retry-after") == retry_after
        assert "secret" not in failed.text
        assert retried.status_code == 201

    async def test_a_request_under_way_is_not_begun_again(self, door: Door) -> None:
        """While the first request of a key runs, a repeat is asked to come back."""
        door.billing.platform.fail("create_checkout", PlatformUnavailable("sandbox", "away"))
        await door.post(PURCHASES, WANTED, key="key-1")
        (key,) = door.billing.storage.tables.keys.values()
        async with door.billing.storage.units() as uow:
            await uow.keys.save(key.locked(door.billing.clock.now()))
            await uow.commit()

        repeated = await door.post(PURCHASES, WANTED, key="key-1")

        assert_problem(repeated, 409, "IDEMPOTENCY_KEY_IN_USE")
        assert repeated.headers["retry-after"] == "1"


class TestReading:
    async def test_pages_follow_one_another(self, door: Door) -> None:
        """Pages are newest first and their cursors lead through all of them."""
        bought = []
        for pack in ("small", "medium", "large"):
            bought.append((await door.post(PURCHASES, WANTED | {"pack": pack})).json()["id"])
            door.billing.clock.advance(timedelta(seconds=1))

        first = (await door.get(f"{PURCHASES}?limit=2&status=pending")).json()
        second = (await door.get(f"{PURCHASES}?limit=2&status=pending&cursor={first['next_cursor']}")).json()

        assert [each["id"] for each in first["data"] + second["data"]] == bought[::-1]
        assert second["next_cursor"] is None
        assert (await door.get(f"{PURCHASES}?archived=true")).json() == {"data": [], "next_cursor": None}

    async def test_history_tells_who_did_what(self, door: Door) -> None:
        """The history names the token's subject and the request's correlation id."""
        headers = door.headers(more=[("X-Correlation-Id", "from-the-shop")])
        purchase = (await door.post(PURCHASES, WANTED, headers=headers)).json()

        entries = (await door.get(f"{PURCHASES}/{purchase['id']}/history")).json()["data"]

        assert [entry["status_after"] for entry in entries] == ["created", "pending"]
        assert {(entry["actor"], entry["correlation_id"]) for entry in entries} == {("user-1", "from-the-shop")}

    async def test_everything_at_once(self, door: Door) -> None:
        """The overview shows merchant, trial, purchases and packs; the packs stand alone too."""
        await door.post(PURCHASES, WANTED)

        overview = (await door.get("/api/billing")).json()
        packs = (await door.get("/api/billing/packs")).json()

        assert overview["merchant"]["id"] == door.caller.merchant_id
        assert overview["purchases"]["counts"]["pending"] == 1
        assert overview["packs"] == packs["data"]

    @pytest.mark.parametrize("what", ["", "/history"])
    async def test_a_foreign_purchase_is_an_unknown_one(self, door: Door, what: str) -> None:
        """Another merchant's id, an unknown id and no id at all answer alike."""
        foreign = await door.billing.buy(await door.billing.register(a_merchant("other")))
        same = [("X-Correlation-Id", "same")]

        answers = [
            await door.get(f"{PURCHASES}/{each}{what}", headers=door.headers(more=same))
            for each in (foreign.id, uuid4(), "none", "%00", "{" + str(uuid4()) + "}")
        ]

        problems = [assert_problem(each, 404, "PURCHASE_NOT_FOUND") for each in answers]
        assert len({tuple({**each, "instance": ""}.items()) for each in problems}) == 1
        assert len({tuple(sorted(each.headers)) for each in answers}) == 1

    async def test_a_merchant_of_another_platform_is_refused(self, door: Door) -> None:
        """Token and header may agree and still differ from the merchant's record."""
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, platform="shopify"))
        headers = door.headers(without=["X-Platform"], more=[("X-Platform", "shopify")])

        answers = [await door.get(path, headers=headers) for path in ("/api/billing", TRIALS, "/api/billing/packs")]

        for answer in answers:
            assert_problem(answer, 403, "PLATFORM_MISMATCH")


async def test_a_caller_is_made_of_the_token(door: Door) -> None:
    """The merchant comes from the token alone; nothing in the request can name another."""
    other = a_caller(a_merchant("other"))

    answer = await door.get("/api/billing", headers=door.headers(more=[("X-Merchant-Id", other.merchant_id)]))

    assert answer.json()["merchant"]["id"] == door.caller.merchant_id


async def test_return_urls_are_checked(door: Door) -> None:
    """A return URL that is no https URL is refused with a pointer, and nothing is stored."""
    before = door.stored()

    answer = await door.post(PURCHASES, {"pack": "large", "return_url": RETURN_URL.replace("https", "javascript")})

    assert assert_problem(answer, 400, "INVALID_REQUEST")["errors"][0]["pointer"] == "/return_url"
    assert door.stored() == before
