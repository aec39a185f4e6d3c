"""The same client for asyncio and trio."""

from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from uuid import UUID

import anyio
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
AsyncToken: TypeAlias = str | Callable[[], str | Awaitable[str]]


class AsyncBillingClient:
    """`BillingClient` for asyncio and trio: the same methods, awaited, which raise the same errors.

    >>> import asyncio
    >>> async def what_is_sold():
    ...     async with AsyncBillingClient(BILLING_URL, token=token, platform="sandbox") as billing:
    ...         return [pack.pack for pack in (await billing.list_packs()).data]
    >>> asyncio.run(what_is_sold())
    ['small', 'medium', 'large']
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: AsyncToken,
        platform: str,
        retries: Retries | None = None,
        timeout: httpx2.Timeout | float = DEFAULT_TIMEOUT,
        headers: MoreHeaders | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """`token` may be a function, plain or async: it is asked before each sending, so that it can give a new one in
        time. `headers` gives more headers for each sending, such as `traceparent`. `http` is a client of your own, with
        proxies or certificates; it is not closed here.

        Raises ValueError where `base_url` is no http or https address.
        """
        self._sending = Sending(base_url, platform=platform, timeout=timeout, headers=headers)
        self._token, self._retries = token, retries or Retries()
        self._http, self._closes_http = http or httpx2.AsyncClient(), http is None

    def __repr__(self) -> str:
        return f"AsyncBillingClient({self._sending.base_url!r}, platform={self._sending.platform!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """This will close the connections, unless they are those of an `http` that was handed in."""
        if self._closes_http:
            await self._http.aclose()

    async def overview(self, *, correlation_id: str | None = None) -> Overview:
        """This will return everything about the merchant's billing. Raises MerchantNotFound."""
        return await self._ask(calls.overview(correlation_id))

    async def activate_trial(self, *, idempotency_key: str | None = None, correlation_id: str | None = None) -> Trial:
        """This will start the merchant's one trial. Raises TrialAlreadyUsed, MerchantNotFound."""
        return await self._ask(calls.activate_trial(idempotency_key, correlation_id))

    async def show_trial(self, *, correlation_id: str | None = None) -> Trial:
        """This will return the merchant's trial, `available` before the first. Raises MerchantNotFound."""
        return await self._ask(calls.show_trial(correlation_id))

    async def create_purchase(
        self,
        pack: str,
        *,
        return_url: str,
        currency: str | None = None,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
    ) -> Purchase:
        """This will open a purchase, or return the one of this pack that is open already; send the merchant to its
        `checkout_url`. Raises InvalidPack, InvalidRequest, TooManyOpenPurchases, PlatformError, MerchantNotFound."""
        return await self._ask(calls.create_purchase(pack, return_url, currency, idempotency_key, correlation_id))

    async def list_purchases(
        self,
        *,
        status: PurchaseStatus | None = None,
        archived: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        correlation_id: str | None = None,
    ) -> PurchasePage:
        """This will return one page of purchases, newest first; `iter_purchases` goes through all pages. With
        `archived` those that were archived instead of the live ones. Raises InvalidRequest."""
        return await self._ask(
            calls.list_purchases(
                status=status, archived=archived, limit=limit, cursor=cursor, correlation_id=correlation_id
            )
        )

    async def iter_purchases(
        self, *, status: PurchaseStatus | None = None, archived: bool = False, page_size: int = 100
    ) -> AsyncIterator[Purchase]:
        """This will yield every purchase, newest first, asking for a page when it is needed. Raises InvalidRequest."""
        cursor = None
        while True:
            page = await self.list_purchases(status=status, archived=archived, limit=page_size, cursor=cursor)
            for purchase in page.data:
                yield purchase
            cursor = page.next_cursor
            if cursor is None:
                return

    async def show_purchase(self, purchase_id: UUID | str, *, correlation_id: str | None = None) -> Purchase:
        """This will return one purchase, archived or not. Raises PurchaseNotFound, and ValueError where it is no
        UUID."""
        return await self._ask(calls.show_purchase(purchase_id, correlation_id))

    async def show_history(self, purchase_id: UUID | str, *, correlation_id: str | None = None) -> History:
        """This will return who changed what about a purchase, when and why. Raises PurchaseNotFound, and ValueError
        where it is no UUID."""
        return await self._ask(calls.show_history(purchase_id, correlation_id))

    async def list_packs(self, *, correlation_id: str | None = None) -> Packs:
        """This will return what the merchant can buy."""
        return await self._ask(calls.list_packs(correlation_id))

    async def health(self, *, correlation_id: str | None = None) -> Health:
        """This will return how the service is, also where it is not well."""
        return await self._ask(calls.health(correlation_id))

    async def _ask(self, call: Call[A]) -> A:
        conversation = Conversation(call, self._retries)
        while conversation.answer is None:
            await anyio.sleep(conversation.wait_s)
            conversation.hear(await self._send(call))
        return conversation.answer

    async def _send(self, call: Call[A]) -> httpx2.Response | httpx2.RequestError:
        arguments = self._sending.arguments(call, "" if call.is_open else await self._fresh_token())
        try:
            return await self._http.request(**arguments)
        except httpx2.RequestError as failure:
            return failure

    async def _fresh_token(self) -> str:
        if isinstance(self._token, str):
            return self._token
        token = self._token()
        return await token if isawaitable(token) else token
