"""What is held about a merchant is handed out whole, in pieces, as one document that a program can read."""

import base64
import json
from typing import Any

import pytest
from tests.core.use_cases.gone_shop import (
    BY,
    DOMAIN,
    GID,
    IDENTITY,
    MAIL,
    MERCHANT_ID,
    NEW_ID,
    THIRD_GID,
    a_gone_shop,
    a_shop,
    some_billing,
)

from billing_core.domain.idempotency import KeyRecord
from billing_core.errors import MerchantNotFound
from billing_core.merchant_file import schema
from billing_core.testing import MOMENT, InMemoryBilling
from billing_core.testing.builders import a_request_key
from billing_core.testing.contracts.privacy import a_parked
from billing_core.use_cases.export_merchant import ExportMerchant


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


async def exported(billing: InMemoryBilling, merchant_id: str = MERCHANT_ID, page: int = 500) -> dict[str, Any]:
    """The document, from its pieces."""
    export = ExportMerchant(data=billing.storage.data, clock=billing.clock, page=page)
    pieces = [piece async for piece in export(merchant_id)]
    document: dict[str, Any] = json.loads(b"".join(pieces))
    return document


class TestExport:
    async def test_it_has_everything(self, billing: InMemoryBilling) -> None:
        """Record, claim, trials, purchases live and archived, grants, history, events, keys, and what is parked."""
        shop = await a_gone_shop(billing)
        tables = billing.storage.tables

        document = await exported(billing)

        merchant = document["merchant"]
        assert (merchant["platform_account_id"], merchant["platform_domain"]) == (GID, DOMAIN)
        assert document["trial_claim"]["merchant_id"] == MERCHANT_ID
        assert [each["trial_id"] for each in document["trials"]] == [str(each) for each in tables.trials]
        purchases = {each["purchase"]["purchase_id"]: each["archived"] for each in document["purchases"]}
        assert purchases == {
            str(shop.old.id): True,
            str(shop.paid.id): False,
            str(shop.cancelled.id): False,
            str(shop.unpaid.id): False,
        }
        assert len(document["history"]) == len(tables.changes)
        assert len(document["events"]) == len(tables.outbox)
        assert [each["grant_id"] for each in document["grants"]] == [str(each) for each in tables.grants]
        assert len(document["idempotency_keys"]) == len(tables.keys)
        assert len(document["parked_messages"]) == len(tables.parked)
        assert document["privacy"] == []

    async def test_it_tells_what_people_wrote(self, billing: InMemoryBilling) -> None:
        """Actors, reasons, addresses and bodies are theirs, and handed out."""
        await a_gone_shop(billing)

        document = await exported(billing)

        assert MAIL in {each["actor"] for each in document["history"]}
        assert {each["answer"]["pack"] for each in document["idempotency_keys"] if "pack" in each["answer"]}
        assert any(MAIL in each["body"] for each in document["parked_messages"])
        assert {each["event"]["type"] for each in document["events"]} >= {"evt.billing.credits.purchased"}

    async def test_it_says_what_it_is(self, billing: InMemoryBilling) -> None:
        """Its format, version and moment stand first; its members are those of the schema, in that order."""
        await a_gone_shop(billing)

        document = await exported(billing)

        assert list(document) == list(schema()["properties"])
        assert (document["format"], document["version"]) == ("billing.merchant-file", 1)
        assert document["exported_at"].endswith("Z")

    @pytest.mark.parametrize("page", [1, 2, 3])
    async def test_pages_of_any_size_make_the_same_document(self, billing: InMemoryBilling, page: int) -> None:
        """Nothing is lost or told twice between two pages."""
        await a_gone_shop(billing)

        assert await exported(billing, page=page) == await exported(billing)

    async def test_nobody_else_is_in_it(self, billing: InMemoryBilling) -> None:
        """Another merchant's rows are not, nor what is parked of others."""
        await a_gone_shop(billing)
        other = a_shop("m-other", platform_account_id=THIRD_GID, platform_domain="other.myshopify.com")
        await billing.pay(await billing.buy(await billing.register(other)))

        mine, theirs = await exported(billing), await exported(billing, "m-other")

        assert "m-other" not in json.dumps(mine)
        assert not any(name in json.dumps(theirs) for name in (DOMAIN, MAIL, MERCHANT_ID))
        assert (theirs["parked_messages"], len(theirs["purchases"])) == ([], 1)

    async def test_a_merchant_that_has_done_nothing_has_a_document_too(self, billing: InMemoryBilling) -> None:
        """With nothing in its sections."""
        await billing.register(a_shop(NEW_ID))

        document = await exported(billing, NEW_ID)

        sections = {name: value for name, value in document.items() if isinstance(value, list)}
        assert list(sections.values()) == [[]] * len(sections)
        assert document["trial_claim"] is None

    async def test_of_an_unknown_merchant_there_is_none(self, billing: InMemoryBilling) -> None:
        """Not even the beginning of one."""
        with pytest.raises(MerchantNotFound):
            await exported(billing, "nobody")

    async def test_after_a_redaction_it_names_nobody(self, billing: InMemoryBilling) -> None:
        """It tells what is left, and that it was redacted."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        document = await exported(billing)

        text = json.dumps(document).lower()
        assert [name for name in IDENTITY if name.lower() in text] == []
        assert [each["what"] for each in document["privacy"]] == ["redacted"]
        assert document["parked_messages"] == []

    async def test_bytes_that_are_no_text_are_told_as_base64(self, billing: InMemoryBilling) -> None:
        """And which of the two it is, is said."""
        await billing.register(a_shop())
        bodies = [b"\xff\x00" + DOMAIN.encode(), DOMAIN.encode()]
        async with billing.storage.units() as uow:
            await uow.parked.add([a_parked(body=each) for each in bodies])
            await uow.commit()

        told = (await exported(billing))["parked_messages"]

        assert [each["body_encoding"] for each in told] == ["base64", "text"]
        assert [base64.b64decode(told[0]["body"]), told[1]["body"].encode()] == bodies

    async def test_a_key_without_an_answer_is_told_as_such(self, billing: InMemoryBilling) -> None:
        """Its request may still be under way."""
        await billing.register(a_shop())
        async with billing.storage.units() as uow:
            await uow.keys.save(KeyRecord(key=a_request_key(MERCHANT_ID), fingerprint="f", created_at=MOMENT))
            await uow.commit()

        (told,) = (await exported(billing))["idempotency_keys"]

        assert (told["outcome"], told["answer"]) == (None, None)
