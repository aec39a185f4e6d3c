"""Every document we send is valid against Shopify's own schema, and one that is not is noticed."""

import pytest
from graphql import GraphQLSchema, parse, validate

from billing_adapters.platforms.shopify import documents
from billing_adapters.platforms.shopify.documents import CREATE_CHARGE, LIST_REFUNDS, LOOK_UP_CHARGE, SWEEP_CHARGES
from billing_adapters.stand_ins.shopify_schema import admin_schema, partner_schema

SCHEMAS = {
    "CREATE_CHARGE": admin_schema,
    "LOOK_UP_CHARGE": admin_schema,
    "SWEEP_CHARGES": admin_schema,
    "LIST_REFUNDS": partner_schema,
}
BROKEN = [
    (CREATE_CHARGE, "returnUrl: $returnUrl, ", ""),
    (CREATE_CHARGE, "userErrors { field message }", "userErrors { code }"),
    (CREATE_CHARGE, "$price: MoneyInput!", "$price: MoneyV2!"),
    (CREATE_CHARGE, "test: $test)", "test: $test, idempotencyKey: $name)"),
    (CREATE_CHARGE, "confirmationUrl", "confirmation_url"),
    (CREATE_CHARGE, "$returnUrl: URL!", "$returnUrl: String!"),
    (LOOK_UP_CHARGE, "createdAt", "acceptedAt"),
    (LOOK_UP_CHARGE, "on AppPurchaseOneTime", "on AppPurchaseTwice"),
    (LOOK_UP_CHARGE, "price { amount currencyCode }", "price"),
    (LOOK_UP_CHARGE, "$id: ID!", "$id: ID"),
    (SWEEP_CHARGES, "sortKey: CREATED_AT", "sortKey: NEWEST"),
    (SWEEP_CHARGES, "oneTimePurchases(", "oneTimeCharges("),
    (SWEEP_CHARGES, "hasNextPage endCursor", "hasMore endCursor"),
    (SWEEP_CHARGES, "$first: Int!", "$first: String!"),
    (LIST_REFUNDS, "APP_SALE_ADJUSTMENT, APP_SALE_CREDIT", "APP_REFUND"),
    (LIST_REFUNDS, "on AppSaleCredit", "on AppRefund"),
    (LIST_REFUNDS, "hasNextPage", "hasNextPage endCursor"),
    (LIST_REFUNDS, "chargeId\n          grossAmount", "charge\n          grossAmount"),
    (LIST_REFUNDS, "shopId: $shopId", "shop: $shopId"),
]


def written() -> list[str]:
    """The names of the module's documents."""
    return sorted(name for name in vars(documents) if name.isupper() and not name.startswith("_"))


def test_every_document_has_a_schema_here() -> None:
    """So that a new one cannot go unvalidated."""
    assert written() == sorted(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_document_is_valid(name: str) -> None:
    """Shopify's schema knows every field, argument and type of it, and deprecates none of them."""
    schema = SCHEMAS[name]()

    assert faults(schema, getattr(documents, name)) == []


@pytest.mark.parametrize(("document", "right", "wrong"), BROKEN, ids=[wrong or right for _, right, wrong in BROKEN])
def test_a_broken_document_is_noticed(document: str, right: str, wrong: str) -> None:
    """A misspelt, missing or mistyped part of it is a fault."""
    schema = partner_schema() if document == LIST_REFUNDS else admin_schema()
    broken = document.replace(right, wrong, 1)

    assert broken != document
    assert faults(schema, broken)


def faults(schema: GraphQLSchema, document: str) -> list[str]:
    """What Shopify would refuse about the document."""
    return [error.message for error in validate(schema, parse(document))]
