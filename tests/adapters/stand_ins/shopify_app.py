"""An app that calls the Shopify stand-in, and what it asks."""

from typing import Any

import httpx2

ADMIN = "/admin/api/2026-10/graphql.json"
PARTNER = "/4711/api/2026-07/graphql.json"
SHOP_TOKEN, PARTNER_TOKEN = "shpat_sample", "prtapi_sample"
OTHER_SHOP = "gid://shopify/Shop/2"
CREATE = """
mutation ($name: String!, $price: MoneyInput!, $returnUrl: URL!, $test: Boolean) {
  appPurchaseOneTimeCreate(name: $name, price: $price, returnUrl: $returnUrl, test: $test) {
    appPurchaseOneTime { id name price { amount currencyCode } status test createdAt }
    confirmationUrl
    userErrors { field message }
  }
}"""
LOOK_UP = "query ($id: ID!) { node(id: $id) { id ... on AppPurchaseOneTime { status } } }"
FIND = """
query ($first: Int, $after: String, $last: Int, $before: String, $key: AppTransactionSortKeys = CREATED_AT) {
  currentAppInstallation {
    oneTimePurchases(first: $first, after: $after, last: $last, before: $before, sortKey: $key, reverse: true) {
      nodes { name }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}"""
TRANSACTIONS = """
query (
  $types: [TransactionType!], $first: Int, $after: String, $shopId: ID, $appId: ID, $domain: String,
  $createdAtMin: DateTime, $createdAtMax: DateTime
) {
  transactions(
    types: $types, first: $first, after: $after, shopId: $shopId, appId: $appId, myshopifyDomain: $domain,
    createdAtMin: $createdAtMin, createdAtMax: $createdAtMax
  ) {
    edges {
      cursor
      node {
        __typename id createdAt
        ... on AppSaleAdjustment {
          chargeId grossAmount { amount currencyCode } netAmount { amount } shop { id myshopifyDomain }
        }
        ... on AppSaleCredit { chargeId grossAmount { amount currencyCode } }
      }
    }
    pageInfo { hasNextPage }
  }
}"""


class App:
    """An app that calls the stand-in as it would call Shopify."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def ask(self, document: str, *, token: str = SHOP_TOKEN, **variables: Any) -> httpx2.Response:
        """This will send a document to the Admin API under a shop's token."""
        return await self.post(ADMIN, document, token, variables)

    async def ask_partner(self, *, token: str = PARTNER_TOKEN, **variables: Any) -> httpx2.Response:
        """This will list transactions over the Partner API."""
        return await self.post(PARTNER, TRANSACTIONS, token, {"first": 10, **variables})

    async def post(self, path: str, document: str, token: str, variables: dict[str, Any]) -> httpx2.Response:
        """This will send a document anywhere."""
        body = {"query": document, "variables": variables}
        return await self.http.post(path, json=body, headers={"X-Shopify-Access-Token": token})

    async def create(
        self, name: str = "500 credits", *, amount: str = "39.99", token: str = SHOP_TOKEN, **variables: Any
    ) -> dict[str, Any]:
        """The payload of a create that was answered."""
        asked = {"price": {"amount": amount, "currencyCode": "USD"}, "returnUrl": "https://app.example/back"}
        answer = await self.ask(CREATE, token=token, name=name, **asked | variables)
        payload: dict[str, Any] = answer.json()["data"]["appPurchaseOneTimeCreate"]
        return payload

    async def charge(self, name: str = "500 credits", *, token: str = SHOP_TOKEN) -> str:
        """The gid of a new charge."""
        gid: str = (await self.create(name, token=token))["appPurchaseOneTime"]["id"]
        return gid

    async def token(self, shop: str = OTHER_SHOP, **query: str) -> str:
        """A short-lived token of a shop."""
        answer = await self.http.get("/token", params={"platform_account_id": shop, **query})
        token: str = answer.json()["access_token"]
        return token
