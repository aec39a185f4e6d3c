"""The client for programs that wait."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from uuid import UUID

import httpx2

from billing_client import calls
from billing_client.answers import (
    Answer,
    Health,
    History,
    Overview,
    Packs,
    Purchase,
    PurchasePage,
    PurchaseStatus,
    Trial,
)
from billing_client.calls import Call
from billing_client.conversation import Conversation, Retries
from billing_client.sending import DEFAULT_TIMEOUT, MoreHeaders, Sending

A = TypeVar("A", bound=Answer)
Token: TypeAlias = str | Callable[[], str]


class BillingClient:
    """Billing, as one merchant on one platform. It may be used by several threads at once.

    Every method raises BillingConnectionError when nothing came back, UnexpectedAnswer when what came back is not
    Billing's, and one class of `billing_client.errors` for each refusal, all of them BillingClientError. Calls that
    may succeed later are sent again by themselves, under the same idempotency key.

    >>> with BillingClient(BILLING_URL, token=token, platform="sandbox") as billing:
    ...     [pack.pack for pack in billing.list_packs().data]
    ['small', 'medium', 'large']
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: Token,
        platform: str,
        retries: Retries | None = None,
        timeout: httpx2.Timeout | float = DEFAULT_TIMEOUT,
        headers: MoreHeaders | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        """`token` may be a function: it is asked before each sending, so that it can give a new one in time. `headers`
        gives more headers for each sending, such as `traceparent`. `http` is a client of your own, with proxies or
        certificates; it is not closed here.

        Raises ValueError where `base_url` is no http or https address.
        """
        self._sending = Sending(base_url, platform=platform, timeout=timeout, headers=headers)
        self._token, self._retries = token, retries or Retries()
        self._http, self._closes_http = http or httpx2.Client(), http is None

    def __repr__(self) -> str:
        return f"BillingClient({self._sending.base_url!r}, platform={self._sending.platform!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """This will close the connections, unless they are those of an `http` that was handed in."""
        if self._closes_http:
            self._http.close()

    def overview(self, *, correlation_id: str | None = None) -> Overview:
        """This will return everything about the merchant's billing. Raises MerchantNotFound.

        >>> billing.overview().merchant.platform
        'sandbox'
        """
        return self._ask(calls.overview(correlation_id))

    def activate_trial(self, *, idempotency_key: str | None = None, correlation_id: str | None = None) -> Trial:
        """This will start the merchant's one trial. Raises TrialAlreadyUsed, MerchantNotFound.

        >>> billing.activate_trial().status
        'active'
        """
        return self._ask(calls.activate_trial(idempotency_key, correlation_id))

    def show_trial(self, *, correlation_id: str | None = None) -> Trial:
        """This will return the merchant's trial, `available` before the first. Raises MerchantNotFound.

        >>> billing.show_trial().duration_days
        14
        """
        return self._ask(calls.show_trial(correlation_id))

    def create_purchase(
        self,
        pack: str,
        *,
        return_url: str,
        currency: str | None = None,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
    ) -> Purchase:
        """This will open a purchase, or return the one of this pack that is open already; send the merchant to its
        `checkout_url`. Raises InvalidPack, InvalidRequest, TooManyOpenPurchases, PlatformError, MerchantNotFound.

        >>> purchase = billing.create_purchase("large", return_url="https://shop.example/billing")
        >>> purchase.status, purchase.credits, purchase.price.amount, purchase.checkout_url is None
        ('pending', 1000, '69.99', False)
        """
        return self._ask(calls.create_purchase(pack, return_url, currency, idempotency_key, correlation_id))

    def list_purchases(
        self,
        *,
        status: PurchaseStatus | None = None,
        archived: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        correlation_id: str | None = None,
    ) -> PurchasePage:
        """This will return one page of purchases, newest first; `iter_purchases` goes through all pages. With
        `archived` those that were archived instead of the live ones. Raises InvalidRequest.

        >>> page = billing.list_purchases(limit=1)
        >>> len(page.data), page.next_cursor
        (1, None)
        """
        return self._ask(
            calls.list_purchases(
                status=status, archived=archived, limit=limit, cursor=cursor, correlation_id=correlation_id
            )
        )

    def iter_purchases(
        self, *, status: PurchaseStatus | None = None, archived: bool = False, page_size: int = 100
    ) -> Iterator[Purchase]:
        """This will yield every purchase, newest first, asking for a page when it is needed. Raises InvalidRequest.

        >>> [purchase.pack for purchase in billing.iter_purchases(status="pending")]
        ['large']
        """
        cursor = None
        while True:
            page = self.list_purchases(status=status, archived=archived, limit=page_size, cursor=cursor)
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def show_purchase(self, purchase_id: UUID | str, *, correlation_id: str | None = None) -> Purchase:
        """This will return one purchase, archived or not. Raises PurchaseNotFound, and ValueError where it is no
        UUID.

        >>> billing.show_purchase(purchase.id) == purchase
        True
        """
        return self._ask(calls.show_purchase(purchase_id, correlation_id))

    def show_history(self, purchase_id: UUID | str, *, correlation_id: str | None = None) -> History:
        """This will return who changed what about a purchase, when and why. Raises PurchaseNotFound, and ValueError
        where it is no UUID.

        >>> [change.status_after for change in billing.show_history(purchase.id).data]
        ['created', 'pending']
        """
        return self._ask(calls.show_history(purchase_id, correlation_id))

    def list_packs(self, *, correlation_id: str | None = None) -> Packs:
        """This will return what the merchant can buy.

        >>> billing.list_packs().data[0].price.currency
        'USD'
        """
        return self._ask(calls.list_packs(correlation_id))

    def health(self, *, correlation_id: str | None = None) -> Health:
        """This will return how the service is, also where it is not well.

        >>> billing.health().status
        'ok'
        """
        return self._ask(calls.health(correlation_id))

    def _ask(self, call: Call[A]) -> A:
        conversation = Conversation(call, self._retries)
        while conversation.answer is None:
            time.sleep(conversation.wait_s)
            conversation.hear(self._send(call))
        return conversation.answer

    def _send(self, call: Call[A]) -> httpx2.Response | httpx2.RequestError:
        arguments = self._sending.arguments(call, "" if call.is_open else self._fresh_token())
        try:
            return self._http.request(**arguments)
        except httpx2.RequestError as failure:
            return failure

    def _fresh_token(self) -> str:
        return self._token if isinstance(self._token, str) else self._token()
