"""What callers are shown: the documents of contract 2."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_core.domain.packs import TrialTerms, default_catalog
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.testing import MOMENT, a_merchant, a_purchase, a_trial, an_offer
from billing_core.views import MerchantView, PackView, PurchaseView, TrialView


class TestPurchaseView:
    def test_has_exactly_the_fields_of_the_contract(self) -> None:
        """Names, order of magnitude and spelling are fixed; nothing internal leaks."""
        purchase = a_purchase(offer=an_offer(bonus_credits=5))

        document = PurchaseView.of(purchase, MOMENT).to_document()

        assert document == {
            "id": str(purchase.purchase_id),
            "merchant_id": purchase.merchant_id,
            "pack": "large",
            "credits": 1000,
            "bonus_credits": 5,
            "price": {"amount_minor": 6999, "currency": "USD", "amount": "69.99"},
            "status": "pending",
            "platform": "sandbox",
            "platform_reference": purchase.platform_reference,
            "checkout_url": purchase.checkout_url,
            "test": False,
            "late": False,
            "needs_review": False,
            "credits_reversed": 0,
            "created_at": "2026-03-02T09:30:15.123456Z",
            "expires_at": "2026-03-04T09:30:15.123456Z",
            "completed_at": None,
        }

    def test_shows_the_checkout_url_only_while_it_can_be_used(self) -> None:
        """Not at the deadline, and not once the purchase has moved on."""
        purchase = a_purchase()
        last = purchase.expires_at - timedelta(microseconds=1)

        assert PurchaseView.of(purchase, last).checkout_url == purchase.checkout_url
        assert PurchaseView.of(purchase, purchase.expires_at).checkout_url is None
        for status in set(PurchaseStatus) - {PurchaseStatus.PENDING}:
            assert PurchaseView.of(a_purchase(status=status), MOMENT).checkout_url is None


class TestTrialView:
    def test_has_exactly_the_fields_of_the_contract(self) -> None:
        """Names and spelling are fixed."""
        trial = a_trial()

        assert TrialView.of(trial, MOMENT).to_document() == {
            "id": str(trial.trial_id),
            "merchant_id": trial.merchant_id,
            "status": "active",
            "credits": 500,
            "duration_days": 14,
            "started_at": "2026-03-02T09:30:15.123456Z",
            "ends_at": "2026-03-16T09:30:15.123456Z",
            "converted_at": None,
        }

    def test_shows_a_trial_past_its_end_as_expired_before_the_job_has_run(self) -> None:
        """What people read follows the clock, not the job."""
        trial = a_trial()

        assert TrialView.of(trial, trial.ends_at).status == "expired"

    def test_a_refused_trial_has_no_times(self) -> None:
        """It never began."""
        view = TrialView.of(a_trial(status=TrialStatus.REFUSED), MOMENT)

        assert (view.status, view.started_at, view.ends_at) == ("refused", None, None)

    @pytest.mark.parametrize(("claimed", "status"), [(False, "available"), (True, "refused")])
    def test_before_the_first_trial_it_shows_what_there_is_to_have(self, claimed: bool, status: str) -> None:
        """Available, or refused where the shop has had its one under another merchant id (market.md 27)."""
        view = TrialView.before_the_first("m-1", TrialTerms(), claimed=claimed)

        assert (view.id, view.status, view.credits, view.started_at) == (None, status, 500, None)


class TestPackView:
    def test_shows_the_packs_to_a_merchant_and_to_one_not_known_yet(self) -> None:
        """A merchant whose announcement has not arrived sees the default prices."""
        known = PackView.all_of(default_catalog(), home_currency="EUR")

        assert known == PackView.all_of(default_catalog(), home_currency=None)
        assert [(pack.pack, pack.credits, pack.price.amount) for pack in known] == [
            ("small", 100, "9.99"),
            ("medium", 500, "39.99"),
            ("large", 1000, "69.99"),
        ]


class TestMerchantView:
    def test_names_the_shop(self) -> None:
        """The account that owns the trial is shown beside our id."""
        merchant = replace(a_merchant("m-1"), platform_account_id="gid://shopify/Shop/1")

        assert MerchantView.of(merchant).to_document() == {
            "id": "m-1",
            "platform": "sandbox",
            "platform_account_id": "gid://shopify/Shop/1",
            "currency": None,
            "registered_at": "2026-03-02T09:30:15.123456Z",
        }
