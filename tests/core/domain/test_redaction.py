"""What is taken from a merchant's rows is its identity, and nothing else."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.merchants import Merchant
from billing_core.domain.pseudonyms import REDACTED, Pseudonyms, is_pseudonym
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.redaction import (
    Identity,
    Words,
    redact_grant,
    redact_merchant,
    redact_purchase,
    redact_trial,
)
from billing_core.testing import a_merchant, a_purchase, a_trial
from billing_core.testing.builders import a_grant
from billing_core.testing.strategies import merchants, purchases

PSEUDONYMS = Pseudonyms(b"k" * 32)
GID, DOMAIN = "gid://shopify/Shop/1", "shop-1.example"
SHOP = Identity(merchant_id="m-1", platform_account_id=GID, platform_domain=DOMAIN)


def changed(before: Any, after: Any) -> set[str]:
    """The fields that are not what they were."""
    was, now = asdict(before), asdict(after)
    return {name for name in was if was[name] != now[name]}


class TestRows:
    @given(merchants())
    def test_a_merchant_loses_its_account_and_domain(self, merchant: Merchant) -> None:
        """And is known again by the pseudonym; once redacted, it stays as it is."""
        after = redact_merchant(merchant, PSEUDONYMS)

        assert changed(merchant, after) <= {"platform_account_id", "platform_domain"}
        assert (after.is_redacted, after.platform_domain) == (True, None)
        assert after.is_same_shop(merchant, PSEUDONYMS)
        assert redact_merchant(after, PSEUDONYMS) == after

    @given(purchases())
    def test_a_purchase_loses_its_account_and_addresses(self, purchase: Purchase) -> None:
        """No figure, status, reference or moment is touched, and what is left is a purchase that may be stored."""
        after = redact_purchase(purchase, PSEUDONYMS)

        assert changed(purchase, after) <= {"platform_account_id", "return_url", "checkout_url"}
        assert is_pseudonym(after.platform_account_id)
        assert after.return_url == ""
        assert after.checkout_url == (REDACTED if purchase.status is PurchaseStatus.PENDING else None)
        assert redact_purchase(after, PSEUDONYMS) == after

    def test_a_trial_loses_its_account(self) -> None:
        """And nothing else."""
        trial = a_trial()

        after = redact_trial(trial, PSEUDONYMS)

        assert after == replace(trial, platform_account_id=PSEUDONYMS.of_account("sandbox", trial.platform_account_id))
        assert redact_trial(after, PSEUDONYMS) == after

    def test_a_grant_loses_its_reason(self) -> None:
        """Who gave it, when and how much stays: it counts against their day."""
        grant = a_grant(reason="Jane Doe asked")

        assert redact_grant(grant) == replace(grant, reason=REDACTED)

    def test_all_rows_of_one_shop_go_on_having_one_account(self) -> None:
        """What was of one shop is of one shop."""
        merchant = a_merchant()
        rows = (
            redact_merchant(merchant, PSEUDONYMS),
            redact_purchase(a_purchase(merchant), PSEUDONYMS),
            redact_trial(a_trial(merchant), PSEUDONYMS),
        )

        assert len({each.platform_account_id for each in rows}) == 1


class TestWords:
    @pytest.mark.parametrize(
        "actor", ["job:expire-trials", "billing-purchase-updated", "billing-merchant-created", "operator:Jane\nDoe"]
    )
    def test_who_acts_for_billing_is_told(self, actor: str) -> None:
        """Jobs, consumers and operators."""
        assert Words(actor=actor, reason=None, correlation_id="c").redacted(PSEUDONYMS).actor == actor

    @pytest.mark.parametrize(
        "actor", ["jane@shop.example", "user-1", "", "job:of Jane", "billing-jane", "operator", "an operator:ada"]
    )
    def test_whoever_else_acts_is_told_by_a_pseudonym(self, actor: str) -> None:
        """The same for the same person, so that what one of them did is still seen to be theirs."""
        words = Words(actor=actor, reason=None, correlation_id="c").redacted(PSEUDONYMS)

        assert words.actor == PSEUDONYMS.of_text(actor)
        assert is_pseudonym(words.actor)

    @pytest.mark.parametrize(
        ("actor", "reason", "left"),
        [
            ("operator:ada", "Jane Doe asked", REDACTED),
            ("jane@shop.example", "I, Jane Doe, asked", REDACTED),
            ("job:expire-purchases", "not paid in time", "not paid in time"),
            ("billing-purchase-updated", "not paid in time", "not paid in time"),
            ("operator:ada", None, None),
        ],
    )
    def test_what_people_wrote_goes(self, actor: str, reason: str | None, left: str | None) -> None:
        """What Billing wrote stays: it names payments, and nobody."""
        assert Words(actor=actor, reason=reason, correlation_id="c").redacted(PSEUDONYMS).reason == left

    def test_a_notice_is_told_by_a_pseudonym(self) -> None:
        """Its id is another service's to choose, and it is the correlation id where there is no other."""
        words = Words(actor="billing-purchase-updated", reason="notice janes-shop-1", correlation_id="janes-shop-1")

        redacted = words.redacted(PSEUDONYMS)

        assert redacted.reason == f"notice {redacted.correlation_id}"
        assert redacted.redacted(PSEUDONYMS) == redacted

    @given(actor=st.text(), reason=st.none() | st.text(), correlation_id=st.text())
    def test_twice_is_once(self, actor: str, reason: str | None, correlation_id: str) -> None:
        """And correlation ids are told by pseudonyms."""
        words = Words(actor=actor, reason=reason, correlation_id=correlation_id).redacted(PSEUDONYMS)

        assert words.redacted(PSEUDONYMS) == words
        assert is_pseudonym(words.correlation_id)


class TestIdentity:
    def test_it_is_what_is_known_of_the_merchant(self) -> None:
        """Of a redacted one that is its id alone."""
        merchant = a_merchant("m-1", platform_account_id=GID, platform_domain=DOMAIN)

        assert Identity.of(merchant) == SHOP
        assert Identity.of(redact_merchant(merchant, PSEUDONYMS)) == Identity(
            merchant_id="m-1", platform_account_id=None, platform_domain=None
        )

    def test_its_words_find_it_in_any_spelling(self) -> None:
        """In small letters, and with the solidus as JSON may write it."""
        assert SHOP.words == (
            "gid://shopify/shop/1",
            r"gid:\/\/shopify\/shop\/1",
            "m-1",
            "shop-1.example",
        )

    @pytest.mark.parametrize(
        "body",
        [
            {"merchant_id": "m-1"},
            {"data": {"subject": "m-1"}},
            [{"platform_account_id": GID}],
            {"about": ["x", {"deep": f"see {GID}, please"}]},
            {"url": "https://www.SHOP-1.Example/admin?x"},
            {"mail": "jane@shop-1.example"},
            {"shop-1.example": True},
            "shop-1.example",
        ],
    )
    def test_it_is_found_in_a_document(self, body: object) -> None:
        """By an id where ids stand, by its address and domain anywhere."""
        text = json.dumps(body)

        assert SHOP.is_named_in(text)
        assert SHOP.is_named_in(text.replace("/", r"\/").encode())

    @pytest.mark.parametrize(
        "text",
        [
            '{"merchant_id": "m-1", no JSON',
            'garbage "account" : "gid://shopify/Shop/1"',
            "https://shop-1.example/",
            f"{GID} has gone.",
            "\x00 \x1b shop-1.example",
        ],
    )
    def test_it_is_found_in_what_is_no_document(self, text: str) -> None:
        """Bytes that are no text around it too."""
        assert SHOP.is_named_in(text)
        assert SHOP.is_named_in(b"\xff\xfe" + text.encode() + b"\xff")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"merchant_id": "m-10", "account": f"{GID}2"},
            {"pack": "m-1", "text": "of m-1"},
            {"url": "https://my-shop-1.example/"},
            {"url": "https://shop-1.example.org/"},
            {"url": "https://shop-1.example2/"},
            {"number": 1, "nothing": None, "yes": True},
            "m-1",
        ],
    )
    def test_nobody_else_is_taken_for_it(self, body: object) -> None:
        """A part of another name, and an id where none stands, is not it."""
        assert not SHOP.is_named_in(json.dumps(body))
        assert not SHOP.is_named_in(f"{json.dumps(body)} and no JSON")

    def test_an_account_that_is_no_address_is_found_where_accounts_stand(self) -> None:
        """`42` is many things, and a shop only where a shop is named."""
        shop = Identity(merchant_id="m-1", platform_account_id="42", platform_domain=None)

        assert shop.is_named_in('{"platform_account_id": "42"}')
        assert not shop.is_named_in('{"credits": "42", "price": 42}')

    def test_a_body_of_any_depth_is_read(self) -> None:
        """Nobody can make a message that cannot be looked at."""
        assert not SHOP.is_named_in(b"[" * 50_000)
        assert SHOP.is_named_in(b"[" * 200 + json.dumps(DOMAIN).encode() + b"]" * 200)
