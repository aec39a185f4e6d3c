"""What `billing merchants export` writes is what its schema says, of a merchant with a past in every table."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from tests.core.use_cases.gone_shop import BY, MERCHANT_ID, a_gone_shop, some_billing

from billing_core.merchant_file import schema

FROZEN = Path(__file__).parents[2] / "schemas" / "merchant-file.json"
VALIDATOR = Draft202012Validator(schema(), format_checker=FormatChecker())


def test_the_frozen_file_equals_the_running_code() -> None:
    """`script/schemas` was run after the last change of what is held."""
    assert json.loads(FROZEN.read_text("utf-8")) == schema()


def test_it_is_a_json_schema() -> None:
    """Any 2020-12 validator takes it."""
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("redacted", [False, True])
async def test_every_document_satisfies_it(redacted: bool) -> None:
    """Before a redaction and after it; and one that lacks a section does not."""
    billing = some_billing()
    await a_gone_shop(billing)
    if redacted:
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

    document = json.loads(b"".join([piece async for piece in billing.export_merchant(MERCHANT_ID)]))

    assert [each.message for each in VALIDATOR.iter_errors(document)] == []
    assert all(document[name] for name in ("trials", "purchases", "grants", "history", "events"))
    for name in document:
        assert not VALIDATOR.is_valid({key: value for key, value in document.items() if key != name}), name
