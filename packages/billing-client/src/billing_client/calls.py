"""What each operation sends and how its answer is read. Both clients make their calls here and only send them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from billing_client.answers import Answer, Health, History, Overview, Packs, Purchase, PurchasePage, Trial

A = TypeVar("A", bound=Answer)

_DONE = frozenset({200, 201})
_HEALTH = frozenset({200, 503})  # an unhealthy service answers as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[A]):
    """One operation, ready to be sent as often as it takes: its key, body and ids are the same every time."""

    method: str
    path: str
    answer: type[A]
    correlation_id: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    idempotency_key: str | None = None
    answered_by: frozenset[int] = _DONE
    is_open: bool = False  # asked without a token

    def headers(self, *, token: str, platform: str) -> dict[str, str]:
        """The headers it is sent with."""
        headers = {"Accept": "application/json, application/problem+json", "X-Correlation-Id": self.correlation_id}
        if not self.is_open:
            headers |= {"Authorization": f"Bearer {token}", "X-Platform": platform}
        if self.idempotency_key is not None:
            headers |= {"Idempotency-Key": self.idempotency_key, "Content-Type": "application/json"}
        return headers


def overview(correlation_id: str | None) -> Call[Overview]:
    """GET /api/billing."""
    return _asking("/api/billing", Overview, correlation_id)


def activate_trial(idempotency_key: str | None, correlation_id: str | None) -> Call[Trial]:
    """POST /api/billing/trials."""
    return _acting("/api/billing/trials", Trial, {}, idempotency_key, correlation_id)


def show_trial(correlation_id: str | None) -> Call[Trial]:
    """GET /api/billing/trials."""
    return _asking("/api/billing/trials", Trial, correlation_id)


def create_purchase(
    pack: str, return_url: str, currency: str | None, idempotency_key: str | None, correlation_id: str | None
) -> Call[Purchase]:
    """POST /api/billing/purchases."""
    body = {"pack": pack, "return_url": return_url} | ({} if currency is None else {"currency": currency})
    return _acting("/api/billing/purchases", Purchase, body, idempotency_key, correlation_id)


def list_purchases(
    *,
    status: str | None,
    archived: bool,
    limit: int | None,
    cursor: str | None,
    correlation_id: str | None,
) -> Call[PurchasePage]:
    """GET /api/billing/purchases."""
    told = {
        "status": status,
        "archived": "true" if archived else None,
        "limit": None if limit is None else str(limit),
        "cursor": cursor,
    }
    query = {name: value for name, value in told.items() if value is not None}
    return _asking("/api/billing/purchases", PurchasePage, correlation_id, query=query)


def show_purchase(purchase_id: UUID | str, correlation_id: str | None) -> Call[Purchase]:
    """GET /api/billing/purchases/{id}. Raises ValueError where it is no UUID."""
    return _asking(_purchase(purchase_id), Purchase, correlation_id)


def show_history(purchase_id: UUID | str, correlation_id: str | None) -> Call[History]:
    """GET /api/billing/purchases/{id}/history. Raises ValueError where it is no UUID."""
    return _asking(f"{_purchase(purchase_id)}/history", History, correlation_id)


def list_packs(correlation_id: str | None) -> Call[Packs]:
    """GET /api/billing/packs."""
    return _asking("/api/billing/packs", Packs, correlation_id)


def health(correlation_id: str | None) -> Call[Health]:
    """GET /health."""
    return _asking("/health", Health, correlation_id, is_open=True, answered_by=_HEALTH)


def _asking(path: str, answer: type[A], correlation_id: str | None, **more: Any) -> Call[A]:
    return Call(method="GET", path=path, answer=answer, correlation_id=correlation_id or _new_id(), **more)


def _acting(
    path: str, answer: type[A], body: Mapping[str, Any], idempotency_key: str | None, correlation_id: str | None
) -> Call[A]:
    return Call(
        method="POST",
        path=path,
        answer=answer,
        body=json.dumps(body).encode(),
        idempotency_key=_new_id() if idempotency_key is None else idempotency_key,
        correlation_id=correlation_id or _new_id(),
    )


def _purchase(purchase_id: UUID | str) -> str:
    # Through UUID, so that nothing given as an id can lead to another path.
    return f"/api/billing/purchases/{UUID(str(purchase_id))}"


def _new_id() -> str:
    return str(uuid4())
