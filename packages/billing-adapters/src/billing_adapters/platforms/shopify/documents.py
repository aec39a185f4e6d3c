"""The GraphQL documents sent to Shopify. Tests hold each of them against Shopify's own schema."""

_CHARGE = """
fragment Charge on AppPurchaseOneTime {
  id
  name
  status
  test
  createdAt
  price { amount currencyCode }
}
"""

CREATE_CHARGE = """
mutation CreateCharge($name: String!, $price: MoneyInput!, $returnUrl: URL!, $test: Boolean!) {
  appPurchaseOneTimeCreate(name: $name, price: $price, returnUrl: $returnUrl, test: $test) {
    appPurchaseOneTime { id }
    confirmationUrl
    userErrors { field message }
  }
}
"""

LOOK_UP_CHARGE = (
    """
query LookUpCharge($id: ID!) {
  node(id: $id) { ...Charge }
}
"""
    + _CHARGE
)

SWEEP_CHARGES = (
    """
query SweepCharges($first: Int!, $after: String) {
  currentAppInstallation {
    oneTimePurchases(first: $first, after: $after, sortKey: CREATED_AT, reverse: true) {
      nodes { ...Charge }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
    + _CHARGE
)

# Of the Partner API, whose pages have no endCursor: the last edge's cursor is the next page's `after`.
LIST_REFUNDS = """
query ListRefunds($first: Int!, $after: String, $createdAtMin: DateTime, $shopId: ID, $appId: ID) {
  transactions(
    first: $first
    after: $after
    createdAtMin: $createdAtMin
    shopId: $shopId
    appId: $appId
    types: [APP_SALE_ADJUSTMENT, APP_SALE_CREDIT]
  ) {
    edges {
      cursor
      node {
        id
        ... on AppSaleAdjustment {
          chargeId
          grossAmount { amount currencyCode }
          netAmount { amount currencyCode }
          shop { id }
        }
        ... on AppSaleCredit {
          chargeId
          grossAmount { amount currencyCode }
          netAmount { amount currencyCode }
          shop { id }
        }
      }
    }
    pageInfo { hasNextPage }
  }
}
"""
