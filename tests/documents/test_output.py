"""What a page shows is held against what a command says, line by line."""

import pytest
from tests.documents.output import first_missing

SAID = "Merchant m-1\n  status    active\n  id        0199c3a8\n\nNext:\n  billing trials show m-1\n"


@pytest.mark.parametrize("shown", [SAID, "Merchant m-1\nNext:\n", "  status active\n  id …\n", "…trials show…\n", "\n"])
def test_what_is_said_is_found(shown: str) -> None:
    """Whole or in part, with an ellipsis for what differs."""
    assert first_missing(shown, SAID) is None


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("Merchant m-2\n", "Merchant m-2"),
        ("Next:\nMerchant m-1\n", "Merchant m-1"),
        ("  status active\n  status active\n", "  status active"),
        ("trials show\n", "trials show"),
        ("Merchant m.1\n", "Merchant m.1"),
    ],
)
def test_what_is_not_said_is_told(shown: str, missing: str) -> None:
    """Other words, another order, once too often, a part of a line, or what only a pattern would fit."""
    assert first_missing(shown, SAID) == missing
