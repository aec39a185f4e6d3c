"""Merchants are registered from announcements that come twice, late, broken or contradicting."""

import asyncio

import pytest

from billing_core.messages import MERCHANT_CREATED, InboundMessage
from billing_core.testing import InMemoryBilling, a_merchant, a_merchant_created
from billing_core.use_cases.inbound import Done, Parked


class TestRegisterMerchants:
    async def test_registers_every_merchant_of_a_batch(self, billing: InMemoryBilling) -> None:
        """Each announcement is done and each merchant known."""
        one, other = a_merchant(), a_merchant()

        outcomes = await billing.register_merchants([a_merchant_created(one), a_merchant_created(other, bare=True)])

        assert outcomes == [Done(), Done()]
        assert set(billing.storage.tables.merchants) == {one.merchant_id, other.merchant_id}

    async def test_the_shop_is_the_merchant_id_where_none_is_named(self, billing: InMemoryBilling) -> None:
        """`platform_account_id` defaults to the merchant id (contract 3)."""
        await billing.register_merchants([a_merchant_created(a_merchant("m-1"), platform_account_id=None)])

        assert billing.storage.tables.merchants["m-1"].platform_account_id == "m-1"

    async def test_an_announcement_twice_in_one_batch_and_again_later_changes_nothing(
        self, billing: InMemoryBilling
    ) -> None:
        """Repeats are done, the merchant is registered once (market.md 27)."""
        message = a_merchant_created(a_merchant("m-1"))

        outcomes = await billing.register_merchants([message, message])
        before = dict(billing.storage.tables.merchants)
        outcomes = [*outcomes, *await billing.register_merchants([message])]

        assert outcomes == [Done(), Done(), Done()]
        assert billing.storage.tables.merchants == before

    async def test_announcements_at_the_same_moment_register_one_merchant(self, billing: InMemoryBilling) -> None:
        """Several workers with the same merchant end with the same merchant."""
        merchant = a_merchant("m-1")

        batches = await asyncio.gather(
            *(billing.register_merchants([a_merchant_created(merchant, message_id=f"x-{n}")]) for n in range(5))
        )

        assert batches == [[Done()]] * 5
        assert list(billing.storage.tables.merchants) == ["m-1"]

    async def test_a_second_announcement_updates_what_a_shop_may_change(self, billing: InMemoryBilling) -> None:
        """A new domain counts, within one batch too, and in the order announced."""
        merchant = a_merchant("m-1")

        await billing.register_merchants([a_merchant_created(merchant, platform_domain="a.example")])
        await billing.register_merchants(
            [
                a_merchant_created(merchant, platform_domain="b.example"),
                a_merchant_created(merchant, platform_domain="c.example", currency="EUR"),
            ]
        )

        known = billing.storage.tables.merchants["m-1"]
        assert (known.platform_domain, known.currency) == ("c.example", "EUR")

    async def test_an_old_announcement_delivered_again_does_not_undo_a_newer_one(
        self, billing: InMemoryBilling
    ) -> None:
        """A message counts once, however often it comes."""
        first = a_merchant_created(a_merchant("m-1", platform_account_id="a"), platform_domain="old.example")
        second = a_merchant_created(a_merchant("m-1", platform_account_id="a"), platform_domain="new.example")

        for message in (first, second, first):
            await billing.register_merchants([message])

        assert billing.storage.tables.merchants["m-1"].platform_domain == "new.example"

    async def test_an_announcement_that_moves_a_merchant_to_another_shop_is_parked(
        self, billing: InMemoryBilling
    ) -> None:
        """Which shop has had its trial is not up to a second announcement."""
        await billing.register_merchants([a_merchant_created(a_merchant("m-1", platform_account_id="a"))])

        message = a_merchant_created(a_merchant("m-1", platform_account_id="b"))
        (outcome,) = await billing.register_merchants([message])

        assert isinstance(outcome, Parked)
        assert billing.storage.tables.merchants["m-1"].platform_account_id == "a"
        (parked,) = billing.storage.tables.parked.values()
        assert (parked.body, parked.headers, parked.reason) == (message.body, message.headers, outcome.reason)
        assert parked.message_id == message.headers["Nats-Msg-Id"]
        assert "already registered" in parked.reason

    async def test_a_contradiction_that_is_replayed_and_still_contradicts_is_parked_again(
        self, billing: InMemoryBilling
    ) -> None:
        """A parked message never goes quietly: replaying it changes nothing, so it waits again."""
        await billing.register_merchants([a_merchant_created(a_merchant("m-1", platform_account_id="a"))])
        message = a_merchant_created(a_merchant("m-1", platform_account_id="b"))
        await billing.register_merchants([message])
        (parked_id,) = billing.storage.tables.parked

        await billing.replay_parked(parked_id)
        (outcome,) = await billing.register_merchants([message])

        assert isinstance(outcome, Parked)
        assert [each.replayed_at is None for each in billing.storage.tables.parked.values()] == [False, True]

    @pytest.mark.parametrize(
        "wrong",
        [
            InboundMessage(subject=MERCHANT_CREATED, body=b"not json", headers={}),
            InboundMessage(subject=MERCHANT_CREATED, body=b"", headers={"Nats-Msg-Id": "x"}),
            InboundMessage(subject=MERCHANT_CREATED, body=b'{"merchant_id": "\\ud800"}', headers={}),
            a_merchant_created(merchant_id=7),
            a_merchant_created(merchant_id="a\x00b", bare=True),
            a_merchant_created(platform="unheard-of"),
            a_merchant_created(platform="Sandbox"),
            a_merchant_created(platform_account_id=["a"]),
        ],
        ids=["no json", "nothing", "a surrogate", "a number", "a zero byte", "no platform", "capitals", "a list"],
    )
    async def test_a_broken_announcement_is_parked_whole_and_the_next_one_handled(
        self, billing: InMemoryBilling, wrong: InboundMessage
    ) -> None:
        """Nothing is dropped, and nothing stands in the way."""
        good = a_merchant()

        outcomes = await billing.register_merchants([wrong, a_merchant_created(good)])

        assert isinstance(outcomes[0], Parked)
        assert outcomes[1] == Done()
        assert list(billing.storage.tables.merchants) == [good.merchant_id]
        (parked,) = billing.storage.tables.parked.values()
        assert (parked.body, parked.subject) == (wrong.body, MERCHANT_CREATED)
        assert (parked.source, parked.reason, parked.parked_at) == (
            "billing-merchant-created",
            outcomes[0].reason,
            billing.clock.now(),
        )

    async def test_an_announcement_for_a_platform_that_is_not_configured_names_it(
        self, billing: InMemoryBilling
    ) -> None:
        """The operator reads what is missing."""
        outcomes = await billing.register_merchants([a_merchant_created(platform="unheard-of")])

        assert outcomes == [Parked(reason="platform: 'unheard-of' is not configured")]

    async def test_a_merchant_is_registered_from_now_on(self, billing: InMemoryBilling) -> None:
        """When its service made it is not ours to say."""
        await billing.register_merchants([a_merchant_created(a_merchant("m-1"))])

        assert billing.storage.tables.merchants["m-1"].registered_at == billing.clock.now()
