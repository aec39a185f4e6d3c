"""A pseudonym tells nothing, is the same each time, and of nobody else."""

import re
from typing import Any

import pytest
from hypothesis import given

from billing_core.domain.merchants import PLATFORM_ACCOUNT_ID
from billing_core.domain.pseudonyms import Pseudonyms, is_pseudonym, is_same_account, told_of
from billing_core.testing import a_purchase, a_report
from billing_core.testing.strategies import platform_account_ids

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PSEUDONYMS = Pseudonyms(KEY)
GID = "gid://shopify/Shop/1"
GONE = PSEUDONYMS.of_account("shopify", GID)


class TestPseudonyms:
    def test_it_is_the_keyed_hash_of_what_it_stands_for(self) -> None:
        """A known answer: HMAC-SHA-256 over kind, platform and account; what is stored must be found for ever."""
        assert GONE == "redacted:2ae9e6e8e204006df012841a6dcbff92b59f06f0eb88d023ad8d371c6a359555"

    @given(platform_account_ids(), platform_account_ids())
    def test_two_accounts_never_share_one(self, one: str, other: str) -> None:
        """Nor do an account of another platform, another key, or the same text that is no account."""
        pseudonym = PSEUDONYMS.of_account("shopify", one)

        assert (pseudonym == PSEUDONYMS.of_account("shopify", other)) is (one == other)
        assert pseudonym != PSEUDONYMS.of_account("stripe", one)
        assert pseudonym != Pseudonyms(OTHER_KEY).of_account("shopify", one)
        assert pseudonym != PSEUDONYMS.of_text(one)

    @given(platform_account_ids())
    def test_it_may_stand_wherever_an_account_may(self, account: str) -> None:
        """And it tells nothing of the account."""
        pseudonym = PSEUDONYMS.of_account("shopify", account)

        assert PLATFORM_ACCOUNT_ID.fullmatch(pseudonym)
        assert re.fullmatch("redacted:[0-9a-f]{64}", pseudonym)
        assert is_pseudonym(pseudonym)

    def test_it_stands_for_itself(self) -> None:
        """Redacting twice is redacting once."""
        text = PSEUDONYMS.of_text("jane@shop.example")

        assert PSEUDONYMS.of_account("shopify", GONE) == GONE
        assert PSEUDONYMS.of_text(text) == text

    @pytest.mark.parametrize("name", ["", "redacted", "redacted:", f"redacted:{'g' * 64}", f"{GONE}0", f" {GONE}", GID])
    def test_nothing_else_is_one(self, name: str) -> None:
        """Whatever looks like it."""
        assert not is_pseudonym(name)

    def test_the_key_has_32_bytes_and_is_not_told(self) -> None:
        """A shorter one could be guessed; and none must reach a log."""
        with pytest.raises(ValueError, match="at least 32 bytes"):
            Pseudonyms(KEY[1:])
        assert "kkk" not in repr(PSEUDONYMS)
        assert KEY.hex() not in repr(PSEUDONYMS)

    def test_a_key_is_known_by_its_id(self) -> None:
        """The same for the same key, another for another, and nothing of the key in it."""
        assert PSEUDONYMS.key_id == Pseudonyms(KEY).key_id
        assert PSEUDONYMS.key_id != Pseudonyms(OTHER_KEY).key_id
        assert re.fullmatch("[0-9a-f]{16}", PSEUDONYMS.key_id)


class TestSameAccount:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (GID, GID, True),
            (GONE, GONE, True),
            (GONE, GID, True),
            (GID, GONE, True),
            (GONE, f"{GID}1", False),
            (GID, f"{GID}1", False),
            (GONE, PSEUDONYMS.of_account("shopify", f"{GID}1"), False),
            (GONE, PSEUDONYMS.of_text(GID), False),
        ],
    )
    def test_an_account_is_known_under_its_pseudonym(self, one: str, other: str, same: bool) -> None:
        """Either way round, and no other one is taken for it."""
        assert is_same_account(PSEUDONYMS, "shopify", one, other) is same

    def test_on_another_platform_or_without_the_key_it_is_not(self) -> None:
        """Without the key only what is written alike is the same."""
        assert not is_same_account(PSEUDONYMS, "stripe", GONE, GID)
        assert not is_same_account(None, "shopify", GONE, GID)
        assert is_same_account(None, "shopify", GID, GID)

    @pytest.mark.parametrize(
        ("known", "told", "expected"),
        [(GID, GID, GID), (GONE, GID, GONE), (GID, GONE, GID), (GONE, f"{GID}1", f"{GID}1"), (GONE, None, None)],
    )
    def test_a_report_is_of_the_account_as_it_is_called_here(self, known: str, told: Any, expected: Any) -> None:
        """Another account's report stays another account's, and one that names none names none."""
        report = a_report(a_purchase(), platform_account_id=told)

        assert told_of(PSEUDONYMS, "shopify", known, report).platform_account_id == expected
