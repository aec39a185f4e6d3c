"""Ways to lose messages, or to handle them twice."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.faults.defects.defect import Patch

from billing_core.domain.events import Origin
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.messages import InboundMessage
from billing_core.testing.memory.journal import InMemoryInbox
from billing_core.use_cases import consume_messages, handle_webhooks, register_merchants
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry
from billing_worker import consuming
from billing_worker.consuming import Consumption, Delivery


def ack_before_commit(patch: Patch) -> None:
    """messages are acknowledged before they are handled"""
    handle = Consumption.handle

    async def acknowledge_first(self: Consumption, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await delivery.ack()
        await handle(self, deliveries)

    patch(Consumption, "handle", acknowledge_first)


def ack_of_what_is_put_off(patch: Patch) -> None:
    """messages that are to be tried again are acknowledged like those that are done"""

    async def acknowledge(delivery: Delivery, outcome: Outcome) -> None:
        del outcome
        await delivery.ack()

    patch(consuming, "_acknowledge", acknowledge)


def unknown_reference_dropped(patch: Patch) -> None:
    """a notice of a payment that nobody here knows is dropped"""

    def done(*_: object) -> Outcome:
        return Done()

    patch(handle_webhooks, "_unknown", done)


def parked_not_kept(patch: Patch) -> None:
    """messages that nobody can handle are acknowledged, and kept nowhere"""

    def none_kept(*_: object, **__: object) -> Sequence[object]:
        return ()

    for module in (consume_messages, handle_webhooks, register_merchants):
        patch(module, "parked_messages", none_kept)


def poison_for_ever(patch: Patch) -> None:
    """a message that nobody can handle is tried again for ever"""
    consume = ConsumeMessages.__call__

    async def never_give_up(self: ConsumeMessages, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        outcomes = await consume(self, messages)
        return [Retry(delay_s=300, reason=each.reason) if isinstance(each, Parked) else each for each in outcomes]

    patch(ConsumeMessages, "__call__", never_give_up)


def no_inbox(patch: Patch) -> None:
    """nobody notes which messages were handled, nor does the purchase note that the one that paid it is counted"""
    settle, paid_by = Purchase.settle, dict[UUID, str | None]()

    def count_again(self: Purchase, report: PaymentReport, now: datetime, by: Origin) -> PurchaseDecision:
        told = report.status is PaymentStatus.PAID and report.platform_reference == self.platform_reference
        if self.is_paid and told and by.reason is not None and by.reason == paid_by.get(self.purchase_id):
            return self._complete(report, now, by)
        decision = settle(self, report, now, by)
        if decision.purchase.is_paid and not self.is_paid:
            paid_by[self.purchase_id] = by.reason
        return decision

    forget_messages(patch, InMemoryInbox)
    patch(Purchase, "settle", count_again)


def forget_messages(patch: Patch, inbox: type[Any]) -> None:
    """This will have an inbox take every message for a new one."""

    async def seen(self: object, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    async def record(self: object, source: str, message_ids: Sequence[str], at: datetime) -> frozenset[str]:
        return frozenset(message_ids)

    patch(inbox, "seen", seen)
    patch(inbox, "record", record)
