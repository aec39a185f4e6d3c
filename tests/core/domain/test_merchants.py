"""Merchants: who they are, and what a second announcement may change."""

from datetime import UTC, datetime

import pytest

from billing_core.domain.merchants import Merchant
from billing_core.errors import MerchantConflict


def _merchant(
    merchant_id: str = "m-1",
    platform: str = "shopify",
    platform_account_id: str = "gid://shopify/Shop/1",
    platform_domain: str | None = None,
    currency: str | None = None,
) -> Merchant:
    return Merchant(
        merchant_id=merchant_id,
        platform=platform,
        platform_account_id=platform_account_id,
        platform_domain=platform_domain,
        currency=currency,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class TestMerchant:
    @pytest.mark.parametrize("merchant_id", ["a", "A.b_c:d-9", "x" * 128])
    def test_takes_the_ids_of_the_contract(self, merchant_id: str) -> None:
        """1 to 128 of `A-Z a-z 0-9 . _ : -` is a merchant id."""
        assert _merchant(merchant_id).merchant_id == merchant_id

    @pytest.mark.parametrize("merchant_id", ["", "x" * 129, "a b", "a/b", "ä", "a\n", "a\x00", "\ud800", "a*"])
    def test_refuses_other_ids(self, merchant_id: str) -> None:
        """Nothing else is, whatever a message says."""
        with pytest.raises(ValueError, match="merchant_id"):
            _merchant(merchant_id)

    @pytest.mark.parametrize("account", ["", "a b", "x" * 256, "a\x00", "shöp", "a\n"])
    def test_refuses_accounts_that_are_not_visible_ascii(self, account: str) -> None:
        """A platform account is 1 to 255 visible ASCII characters."""
        with pytest.raises(ValueError, match="platform_account_id"):
            _merchant(platform_account_id=account)


class TestAnnouncedAgain:
    def test_takes_over_a_new_domain_and_currency(self) -> None:
        """What a shop may change, a second announcement changes."""
        again = _merchant(platform_domain="new.example", currency="EUR")

        assert _merchant(platform_domain="old.example", currency="USD").announced_again(again) == again

    def test_keeps_what_the_second_announcement_leaves_out(self) -> None:
        """Silence is no change."""
        known = _merchant(platform_domain="old.example", currency="USD")

        assert known.announced_again(_merchant()) == known

    @pytest.mark.parametrize(
        "other", [_merchant(platform="stripe"), _merchant(platform_account_id="gid://shopify/Shop/2")]
    )
    def test_never_moves_to_another_platform_or_account(self, other: Merchant) -> None:
        """They decide who has had a trial, so they are fixed by the first announcement."""
        with pytest.raises(MerchantConflict, match="m-1"):
            _merchant().announced_again(other)
