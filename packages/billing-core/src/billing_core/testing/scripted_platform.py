"""A payment platform that does what the test says."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.pseudonyms import is_pseudonym
from billing_core.domain.purchases import Purchase
from billing_core.errors import MalformedMessage, PlatformError
from billing_core.ports.platforms import Checkout, Notice, PlatformAccount, PrivacyTopic, Refund

Verb = Literal["create_checkout", "look_up", "find_checkout", "trace_payment", "cancel_checkout", "refunds"]


_PRIVACY_TOPICS: Mapping[str, PrivacyTopic] = {
    "customers/data_request": PrivacyTopic.CUSTOMER_DATA,
    "customers/redact": PrivacyTopic.CUSTOMER_REDACTION,
    "shop/redact": PrivacyTopic.SHOP_REDACTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as the platform sees it: `opened_by` is the account whose checkout it is, `account_id` the one it
    names as the payer's."""

    purchase: Purchase
    checkout: Checkout
    opened_by: str
    account_id: str
    status: PaymentStatus = PaymentStatus.PENDING
    price: Money | None
    test: bool
    refunded_minor: int = 0
    dispute: DisputeStatus = DisputeStatus.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it was made: what it was about (a purchase's id, a platform reference, a payment id), and the account
    where the verb has one."""

    verb: Verb
    about: str
    account: PlatformAccount | None


@dataclass(frozen=True, slots=True, eq=False)
class HeldAnswer:
    """An answer on its way: `asked` is set when the platform has it, and it is given once `given` is set."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    given: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: PlatformError
    after_effect: bool


@dataclass(slots=True)
class _Script:
    failures: dict[Verb, deque[_Failure]] = field(default_factory=dict)
    held: dict[Verb, deque[HeldAnswer]] = field(default_factory=dict)

    def next(self, verb: Verb) -> _Failure | None:
        waiting = self.failures.get(verb)
        return waiting.popleft() if waiting else None


class ScriptedPlatform:
    """Implements `PaymentPlatform` in memory. What its customers do is told by `pay`, `decline` and so on; what goes
    wrong by `fail` and `hold`. `calls` is what it was asked, `payments` what it has, by reference. It is also the
    `RefundSource` of its own refunds, which without `tells_refunds` its look-up does not tell of. Unless it
    `is_idempotent`, each create makes another checkout, with a reference of its own. It asks
    about people's data under Shopify's topics, naming the shop as `{"account": …}`."""

    def __init__(
        self,
        name: str = "sandbox",
        *,
        test_mode: bool = False,
        checkout_lifetime: timedelta = timedelta(hours=48),
        expiry_grace: timedelta = timedelta(hours=1),
        tells_refunds: bool = True,
        is_idempotent: bool = True,
        needs_domain: bool = True,
    ) -> None:
        self.name, self.test_mode = name, test_mode
        self.tells_refunds, self.is_idempotent, self.needs_domain = tells_refunds, is_idempotent, needs_domain
        self.checkout_lifetime, self.expiry_grace = checkout_lifetime, expiry_grace
        self.calls: list[Call] = []
        self.payments: dict[str, Payment] = {}
        self._script = _Script()

    # --- what happens at the platform ------------------------------------------------------------------------------

    def pay(
        self, reference: str, *, price: Money | None = None, account_id: str | None = None, test: bool | None = None
    ) -> None:
        """This will have the checkout paid; with another price, account or test flag than asked for, where given."""
        payment = self.payments[reference]
        self._change(
            reference,
            status=PaymentStatus.PAID,
            price=price or payment.price,
            account_id=account_id or payment.account_id,
            test=payment.test if test is None else test,
        )

    def pay_without_details(self, reference: str) -> None:
        """This will have the checkout paid, and the platform say neither how much nor by whom."""
        self._change(reference, status=PaymentStatus.PAID, price=None, account_id="")

    def process(self, reference: str) -> None:
        """This will leave the payment under way, as delayed methods are."""
        self._change(reference, status=PaymentStatus.PROCESSING)

    def decline(self, reference: str) -> None:
        """This will have the merchant say no."""
        self._change(reference, status=PaymentStatus.DECLINED)

    def fail_payment(self, reference: str) -> None:
        """This will have the payment fail for good."""
        self._change(reference, status=PaymentStatus.FAILED)

    def expire(self, reference: str) -> None:
        """This will have the checkout run out of time."""
        self._change(reference, status=PaymentStatus.EXPIRED)

    def refund(self, reference: str, amount_minor: int) -> None:
        """This will give back so much more; the platform reports the sum of all refunds."""
        self._change(reference, refunded_minor=self.payments[reference].refunded_minor + amount_minor)

    def dispute(self, reference: str, status: DisputeStatus) -> None:
        """This will open, win or lose a dispute."""
        self._change(reference, dispute=status)

    def forget(self, reference: str) -> None:
        """This will make the platform deny that it ever knew the reference."""
        del self.payments[reference]

    def reference_of(self, purchase: Purchase) -> str:
        """The reference the first checkout of this purchase has, or would have."""
        return f"pay-{purchase.purchase_id}"

    def references_of(self, purchase: Purchase) -> Sequence[str]:
        """The references of every checkout of this purchase, the newest last."""
        return [each for each, payment in self.payments.items() if payment.purchase.purchase_id == purchase.purchase_id]

    def notice(self, reference: str) -> Mapping[str, Any]:
        """The body of this platform's notice about a payment."""
        return {"reference": reference}

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def fail(self, verb: Verb, error: PlatformError, *, times: int = 1, after_effect: bool = False) -> None:
        """This will make the next `times` calls of the verb raise the error. With `after_effect` what was asked
        happens all the same and only the answer is lost."""
        waiting = self._script.failures.setdefault(verb, deque())
        waiting.extend(_Failure(error, after_effect) for _ in range(times))

    def hold(self, verb: Verb) -> HeldAnswer:
        """This will keep back the answer to the next call of the verb, as it is when asked, until it is `given`."""
        held = HeldAnswer()
        self._script.held.setdefault(verb, deque()).append(held)
        return held

    def release(self, held: HeldAnswer) -> None:
        """This will let the answer go, asked for or not yet."""
        held.given.set()
        for waiting in self._script.held.values():
            if held in waiting:
                waiting.remove(held)

    def recover(self) -> None:
        """This will forget what was to go wrong: from now on the platform answers everything, at once."""
        self._script = _Script()

    def calls_of(self, verb: Verb) -> list[Call]:
        """The calls of one verb, in order."""
        return [call for call in self.calls if call.verb == verb]

    # --- the port --------------------------------------------------------------------------------------------------

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """See `PaymentPlatform.create_checkout`."""
        failure = self._asked("create_checkout", str(purchase.purchase_id), account)
        made = self.references_of(purchase)
        reference = made[0] if made and self.is_idempotent else self._next_reference(purchase)
        if reference not in self.payments:
            checkout = Checkout(platform_reference=reference, url=f"https://pay.example/{reference}")
            self.payments[reference] = Payment(
                purchase=purchase,
                checkout=checkout,
                opened_by=account.platform_account_id,
                account_id=account.platform_account_id,
                price=purchase.offer.price,
                test=self.test_mode,
            )
        answer = self.payments[reference].checkout
        await self._answered("create_checkout", failure)
        return answer

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """See `PaymentPlatform.look_up`."""
        failure = self._asked("look_up", platform_reference, account)
        payment = self.payments.get(platform_reference)
        await self._answered("look_up", failure)
        if payment is None or not _may_be_of(payment, account):
            return None
        return PaymentReport(
            platform_reference=platform_reference,
            status=payment.status,
            observed_at=now,
            price=payment.price,
            platform_account_id=payment.account_id or None,
            test=payment.test,
            refunded_minor=payment.refunded_minor if self.tells_refunds else None,
            dispute=payment.dispute if self.tells_refunds else None,
        )

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """See `PaymentPlatform.find_checkout`. Of several it is a paid one, else the newest."""
        failure = self._asked("find_checkout", str(purchase.purchase_id), account)
        made = self.references_of(purchase)
        paid = [each for each in made if self.payments[each].status is PaymentStatus.PAID]
        await self._answered("find_checkout", failure)
        return next(iter([*paid, *reversed(made)]), None)

    async def trace_payment(self, payment_id: str) -> str | None:
        """See `PaymentPlatform.trace_payment`. The payment of checkout `pay-…` has the id `money-…`."""
        failure = self._asked("trace_payment", payment_id, None)
        reference = payment_id.replace("money-", "pay-", 1)
        known = reference in self.payments
        await self._answered("trace_payment", failure)
        return reference if known else None

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """See `PaymentPlatform.cancel_checkout`."""
        failure = self._asked("cancel_checkout", platform_reference, account)
        payment = self.payments.get(platform_reference)
        if payment is not None and payment.status is PaymentStatus.PENDING:
            self._change(platform_reference, status=PaymentStatus.CANCELLED)
        await self._answered("cancel_checkout", failure)

    @property
    def platform(self) -> str:
        """See `RefundSource.platform`."""
        return self.name

    async def refunds(self, since: datetime) -> Sequence[Refund]:
        """See `RefundSource.refunds`."""
        failure = self._asked("refunds", since.isoformat(), None)
        refunds = [
            Refund(
                platform_reference=reference,
                platform_account_id=payment.account_id,
                refunded=Money(amount_minor=payment.refunded_minor, currency=payment.purchase.offer.price.currency),
            )
            for reference, payment in self.payments.items()
            if payment.refunded_minor
        ]
        await self._answered("refunds", failure)
        return refunds

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """See `PaymentPlatform.read_notice`. A notice has one or more of `reference`, `purchase`, `payment` and
        `account`; `{"about": …}` is one about something else."""
        if set(payload) == {"about"}:
            return None
        told = {name: payload.get(name) for name in ("reference", "purchase", "payment", "account")}
        if not (told["reference"] or told["purchase"] or told["payment"]):
            raise MalformedMessage(f"no notice of {self.name}: it has no reference")
        if any(value is not None and not isinstance(value, str) for value in told.values()):
            raise MalformedMessage(f"no notice of {self.name}: its members are strings")
        return Notice(
            platform_reference=told["reference"],
            purchase_reference=told["purchase"],
            payment_id=told["payment"],
            platform_account_id=told["account"],
        )

    @property
    def privacy_topics(self) -> Mapping[str, PrivacyTopic]:
        """See `AsksForPrivacy.privacy_topics`."""
        return _PRIVACY_TOPICS

    def read_shop(self, payload: Mapping[str, Any]) -> str:
        """See `AsksForPrivacy.read_shop`."""
        account = payload.get("account")
        if not isinstance(account, str):
            raise MalformedMessage(f"no request of {self.name}: it names no account")
        return account

    def _asked(self, verb: Verb, about: str, account: PlatformAccount | None) -> _Failure | None:
        self.calls.append(Call(verb=verb, about=about, account=account))
        failure = self._script.next(verb)
        if failure is not None and not failure.after_effect:
            raise failure.error
        return failure

    async def _answered(self, verb: Verb, failure: _Failure | None) -> None:
        """What is answered was read before; here it may be kept back, or lost."""
        if waiting := self._script.held.get(verb):
            held = waiting.popleft()
            held.asked.set()
            await held.given.wait()
        if failure is not None:
            raise failure.error

    def _next_reference(self, purchase: Purchase) -> str:
        if not self.references_of(purchase):
            return self.reference_of(purchase)
        asked = sum(call.about == str(purchase.purchase_id) for call in self.calls_of("create_checkout"))
        return f"{self.reference_of(purchase)}-{asked}"

    def _change(self, reference: str, **values: Any) -> None:
        self.payments[reference] = replace(self.payments[reference], **values)


def _may_be_of(payment: Payment, account: PlatformAccount) -> bool:
    """Whether the payment is the account's; of a redacted account that is taken for granted."""
    asking = account.platform_account_id
    return is_pseudonym(asking) or payment.opened_by == asking
