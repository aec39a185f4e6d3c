"""The platforms' customers, and the notices the platforms send of what they do."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from tests.faults.simulation.surroundings import GRACE, Surroundings

from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED, InboundMessage, message_digest
from billing_core.testing import ScriptedPlatform

_UNPAID = (PaymentStatus.PENDING, PaymentStatus.PROCESSING)


class Platforms:
    """Where checkouts are paid. A notice of a payment may be lost: the reconciler finds it. One of a payment that
    came late, of a refund and of a dispute is sent until it arrives, as platforms do."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._numbers = count(1)
        self._payers: dict[str, asyncio.Task[None]] = {}

    def checkout(self, reference: str) -> None:
        """This will send a customer to a checkout, the first time somebody was told of it."""
        if reference not in self._payers:
            self._payers[reference] = asyncio.create_task(self._visit(reference))

    @property
    def paid(self) -> Sequence[str]:
        """The references of the checkouts that somebody was sent to and that are paid."""
        return [each for each in sorted(self._payers) if self._of(each).payments[each].status is PaymentStatus.PAID]

    async def close(self) -> None:
        """This will wait until every customer has done what they were about to do."""
        while not all(each.done() for each in self._payers.values()):
            await asyncio.gather(*self._payers.values())

    def announce_merchants(self) -> None:
        """This will have every merchant announced, sometimes twice."""
        for merchant in self._around.shops.values():
            data = {
                "merchant_id": merchant.merchant_id,
                "platform": merchant.platform,
                "platform_account_id": merchant.platform_account_id,
            }
            for number in range(self._around.chance.choice((1, 1, 2))):
                message_id = f"{merchant.merchant_id}-{number}"
                self._around.merchants.publish(_message(MERCHANT_CREATED, message_id, data))

    def announce(self, merchant: Merchant) -> None:
        """This will have a merchant announced, once."""
        data = {
            "merchant_id": merchant.merchant_id,
            "platform": merchant.platform,
            "platform_account_id": merchant.platform_account_id,
        }
        self._around.merchants.publish(_message(MERCHANT_CREATED, f"{merchant.merchant_id}-late", data))

    def shop_is_gone(self, merchant: Merchant) -> None:
        """This will ask for the redaction of the merchant's shop."""
        message_id = f"gone-{merchant.merchant_id}"
        notice = _notice(merchant.platform, message_id, {"account": merchant.platform_account_id})
        told = {**notice, "topic": "shop/redact"}
        self._around.webhooks.publish(_message(PURCHASE_UPDATED, message_id, told))

    def poison(self) -> None:
        """This will send a notice that nobody can handle."""
        message_id = f"poison-{next(self._numbers)}"
        payload: dict[str, Any] = self._around.chance.choice(({"odd": 1}, {"reference": "pay-nobody"}))
        message = _message(PURCHASE_UPDATED, message_id, _notice("stripe", message_id, payload))
        if self._around.chance.random() < 0.3:
            body = b"{" + message_id.encode()
            message = InboundMessage(subject=PURCHASE_UPDATED, body=body, headers=message.headers)
        self._around.poisons.append(frozenset({message_id, message_digest(message.body)}))
        self._around.webhooks.publish(message)

    async def change_after_payment(self, reference: str) -> None:
        """This will give money back, or have the payment disputed, some time after it was paid."""
        chance, platform = self._around.chance, self._of(reference)
        await asyncio.sleep(chance.random() ** 2 * 60)
        if chance.random() < 0.5:
            for _ in range(chance.choice((1, 1, 2))):
                self._tell(reference, "gives money back")
                platform.refund(reference, chance.choice((1, 333, 1099)))
                self._refunded(reference)
                await asyncio.sleep(chance.random() ** 2 * 20)
            return
        if not platform.tells_refunds:
            return
        for status in (DisputeStatus.OPEN, chance.choice((DisputeStatus.WON, DisputeStatus.LOST))):
            self._tell(reference, f"dispute {status}")
            platform.dispute(reference, status)
            self._around.history.reach("dispute")
            self.notify(reference, sure=True)
            await asyncio.sleep(chance.random() ** 2 * 40)

    def notify(self, reference: str, *, sure: bool) -> None:
        """This will send a notice about a payment as it stands, by one of the names it has; unless it is `sure` to
        arrive it may be lost, and it may be sent twice, under two ids."""
        chance, platform = self._around.chance, self._of(reference)
        if not sure and chance.random() < 0.3:
            self._tell(reference, "notice is lost")
            self._around.history.reach("lost notice")
            return
        payment = platform.payments[reference]
        names = {
            "reference": reference,
            "purchase": payment.purchase.short_reference,
            "payment": reference.replace("pay-", "money-", 1),
        }
        naming = chance.choice((("reference",), ("reference", "purchase"), ("payment", "purchase"), ("payment",)))
        for _ in range(1 if chance.random() > 0.15 else 2):
            message_id = f"notice-{next(self._numbers)}"
            payload = {each: names[each] for each in naming}
            self._tell(reference, f"{payment.status} is told by {message_id} as {', '.join(naming)}")
            self._around.webhooks.publish(
                _message(PURCHASE_UPDATED, message_id, _notice(platform.name, message_id, payload))
            )

    async def _visit(self, reference: str) -> None:
        chance = self._around.chance
        await asyncio.sleep(2 + chance.random() ** 2 * 110)
        luck = chance.random()
        if luck < 0.55:
            await self._pay(reference)
        elif luck < 0.65:
            await self._pay_slowly(reference)
        elif luck < 0.75:
            await self._decline(reference)
        elif luck < 0.85:
            await self._pay_too_late(reference)
        elif luck < 0.9:
            self._set(reference, "pay", price=Money(amount_minor=1, currency="USD"))
            self.notify(reference, sure=True)
        self._tell(reference, "the customer leaves")

    async def _pay(self, reference: str) -> None:
        """In time, or not at all: a platform takes no money for a checkout that is over."""
        if self._can_be_paid(reference):
            self._set(reference, "pay")
            self.notify(reference, sure=False)
            await self._pay_rival(reference)
            if self._around.chance.random() < 0.4:
                await self.change_after_payment(reference)

    async def _pay_slowly(self, reference: str) -> None:
        if self._can_be_paid(reference):
            self._set(reference, "process")
            self.notify(reference, sure=False)
            await asyncio.sleep(self._around.chance.random() * 200)
            self._set(reference, self._around.chance.choice(("pay", "pay", "fail_payment")))
            self.notify(reference, sure=False)

    async def _decline(self, reference: str) -> None:
        if self._can_be_paid(reference):
            self._set(reference, "decline")
            self.notify(reference, sure=self._around.chance.random() < 0.5)
            if self._around.chance.random() < 0.5:
                await asyncio.sleep(self._around.chance.random() * 60)
                self._set(reference, "pay")  # with another card
                self.notify(reference, sure=True)

    async def _pay_too_late(self, reference: str) -> None:
        over_at = self._of(reference).payments[reference].purchase.expires_at + GRACE
        left_s = (over_at - self._around.storage.clock.now()).total_seconds()
        await asyncio.sleep(max(left_s, 0) + self._around.chance.random() * 150)
        if self._of(reference).payments[reference].status in _UNPAID:
            self._set(reference, "pay")
            self.notify(reference, sure=True)

    async def _pay_rival(self, reference: str) -> None:
        """A platform without idempotency may have made a second checkout; somebody pays that one too."""
        platform = self._of(reference)
        rivals = platform.references_of(platform.payments[reference].purchase)
        rival = next((each for each in rivals if each != reference), None)
        if rival is not None:
            self._around.history.reach("second checkout")
        if rival is not None and self._around.chance.random() < 0.3:
            self._set(rival, "pay")
            self._around.history.reach("paid twice")
            message_id = f"rival-{next(self._numbers)}"
            payload = {"reference": rival, "purchase": platform.payments[rival].purchase.short_reference}
            self._around.webhooks.publish(
                _message(PURCHASE_UPDATED, message_id, _notice(platform.name, message_id, payload))
            )

    def _can_be_paid(self, reference: str) -> bool:
        payment = self._of(reference).payments[reference]
        in_time = self._around.storage.clock.now() < payment.purchase.expires_at
        return payment.status is PaymentStatus.PENDING and in_time

    def _set(self, reference: str, how: str, **values: Any) -> None:
        self._tell(reference, how.replace("_", " "))
        getattr(self._of(reference), how)(reference, **values)

    def _refunded(self, reference: str) -> None:
        self._around.history.reach("refund")
        if self._of(reference).tells_refunds:
            self.notify(reference, sure=True)

    def _of(self, reference: str) -> ScriptedPlatform:
        return next(each for each in self._around.platforms.values() if reference in each.payments)

    def _tell(self, reference: str, what: str) -> None:
        self._around.history.tell("platform", f"{reference}: {what}")


def _notice(platform: str, delivery_id: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    received_at = "2026-03-02T09:30:15Z"
    return {"platform": platform, "delivery_id": delivery_id, "received_at": received_at, "payload": payload}


def _message(subject: str, message_id: str, data: Mapping[str, Any]) -> InboundMessage:
    event = {"specversion": "1.0", "id": message_id, "source": "simulation", "type": subject, "data": data}
    return InboundMessage(subject=subject, body=json.dumps(event).encode(), headers={"Nats-Msg-Id": message_id})
