"""Published events as Billing writes them, for the tests of services that read them: one, or a merchant's series."""

from datetime import datetime, timedelta
from typing import Any, Literal

from billing_core.domain.events import FACTS, Change, Fact, Origin, Price
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.messages import encode_event
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing.builders import a_merchant, an_id, an_origin
from billing_core.testing.clock import MOMENT

EVENT_TYPES = tuple(fact.type for fact in FACTS)
_SUBJECTS: dict[str, Literal["trial", "purchase", "grant"]] = {
    "trial_id": "trial",
    "purchase_id": "purchase",
    "grant_id": "grant",
}
# By field, and where a field means something else in one event, by its type and field.
_USUAL: dict[str, Any] = {
    "actor": "operator:ada",
    "bonus_credits": 0,
    "credits": 1000,
    "late": False,
    "pack": "large",
    "price": Price.of(Money(amount_minor=6999, currency="USD")),
    "reason": None,
    "refunded_minor": 6999,
    "test": False,
    "trial_ended": False,
    "evt.billing.credits.granted credits": 50,
    "evt.billing.credits.granted reason": "sorry for the outage",
    "evt.billing.credits.restored reason": "dispute",
    "evt.billing.credits.restored refunded_minor": 0,
    "evt.billing.credits.reversed reason": "refund",
    "evt.billing.trial.expired credits": 500,
    "evt.billing.trial.refused reason": "the platform account has had its trial under another merchant id",
    "evt.billing.trial.started credits": 500,
}
# How long after the event the moments in its data are; those not named here are the event's own.
_LATER = {
    "ends_at": timedelta(days=14),
    "expires_at": timedelta(hours=48),
}


def an_event(
    type: str,  # noqa: A002 - the envelope's own word
    merchant: Merchant | None = None,
    *,
    sequence: int = 1,
    at: datetime = MOMENT,
    by: Origin | None = None,
    **data: Any,
) -> OutboxEvent:
    """An event of that type (`evt.billing.…`) as Billing would publish it; `data` sets what it tells, the rest is
    usual. Raises ValueError for a type or a field that does not exist, and pydantic's ValidationError."""
    kind = _kind(type)
    merchant = merchant or a_merchant()
    values = {
        name: data.pop(name) if name in data else _usual(type, name, at)
        for name in kind.model_fields
        if name not in Fact.model_fields
    }
    if data:
        raise ValueError(f"{type} has no {', '.join(sorted(data))}; it has {', '.join(values)}")
    fact = kind(merchant_id=merchant.merchant_id, platform=merchant.platform, **values)
    return announced(_change(fact, number=sequence, at=at, by=by or an_origin()), sequence)


def announced(change: Change, sequence: int) -> OutboxEvent:
    """A change as the outbox has it, as the merchant's event of that number. Raises ValueError where it announces
    nothing."""
    if change.fact is None:
        raise ValueError(f"{change.what} of {change.subject} announces nothing")
    return OutboxEvent(
        event_id=change.event_id,
        merchant_id=change.merchant_id,
        sequence=sequence,
        type=change.fact.type,
        body=encode_event(change, sequence),
    )


class MerchantEvents:
    """One merchant's events, numbered as Billing numbers them; `published` has all of them in order."""

    def __init__(self, merchant: Merchant | None = None) -> None:
        self.merchant = merchant or a_merchant()
        self.published: list[OutboxEvent] = []

    def tell(self, type: str, **data: Any) -> OutboxEvent:  # noqa: A002 - as in `an_event`
        """This will publish the merchant's next event, a second after the one before. Raises as `an_event` does."""
        sequence = len(self.published) + 1
        at = MOMENT + timedelta(seconds=sequence)
        self.published.append(an_event(type, self.merchant, sequence=sequence, at=at, **data))
        return self.published[-1]


def _kind(type_: str) -> type[Fact]:
    kind = next((fact for fact in FACTS if fact.type == type_), None)
    if kind is None:
        raise ValueError(f"{type_} is no event of Billing; these are: {', '.join(EVENT_TYPES)}")
    return kind


def _usual(type_: str, name: str, at: datetime) -> Any:
    if name in _SUBJECTS:
        return an_id(at)
    if name.endswith("_at"):
        return at + _LATER.get(name, timedelta(0))
    return _USUAL.get(f"{type_} {name}", _USUAL[name])


def _change(fact: Fact, *, number: int, at: datetime, by: Origin) -> Change:
    """What the event tells of. What may happen to a subject more than once is told apart by its number: here that of
    the event, which no other event of the merchant has."""
    field = next(name for name in _SUBJECTS if hasattr(fact, name))
    return Change(
        merchant_id=fact.merchant_id,
        subject=_SUBJECTS[field],
        subject_id=getattr(fact, field),
        number=number,
        what=fact.type.rpartition(".")[2],
        status_before=None,
        status_after="told",
        at=at,
        by=by,
        fact=fact,
    )
