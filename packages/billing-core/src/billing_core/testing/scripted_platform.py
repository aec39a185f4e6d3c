"""A payment platform that does what the test says."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from billing_core.domain.money import Money
from billing_core.domain.purchases import DisputeStatus, PaymentReport, PaymentStatus, Purchase
from billing_core.errors import MalformedMessage, PlatformError
from billing_core.ports.platforms import Checkout, Notice, PlatformAccount

Verb = Literal["create_checkout", "look_up", "find_checkout", "cancel_checkout"]


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
    """A call as it was made: the purchase's id or the platform reference it was about, and the account."""

    verb: Verb
    about: str
    account: PlatformAccount


@dataclass(frozen=True, slots=True)
class _Failure:
    error: PlatformError
    after_effect: bool


@dataclass(slots=True)
class _Script:
    failures: dict[Verb, deque[_Failure]] = field(default_factory=dict)

    def next(self, verb: Verb) -> _Failure | None:
        waiting = self.failures.get(verb)
        return waiting.popleft() if waiting else None


class ScriptedPlatform:
    """Implements `PaymentPlatform` in memory. What its customers do is told by `pay`, `decline` and so on; what goes
    wrong by `fail`. `calls` is what it was asked, `payments` what it has, by reference."""

    def __init__(
        self,
        name: str = "sandbox",
        *,
        test_mode: bool = False,
        checkout_lifetime: timedelta = timedelta(hours=48),
        expiry_grace: timedelta = timedelta(hours=1),
    ) -> None:
        self.name, self.test_mode = name, test_mode
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
        """The reference a checkout of this purchase has, or would have."""
        return f"pay-{purchase.purchase_id}"

    def notice(self, reference: str) -> Mapping[str, Any]:
        """The body of this platform's notice about a payment."""
        return {"reference": reference}

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def fail(self, verb: Verb, error: PlatformError, *, times: int = 1, after_effect: bool = False) -> None:
        """This will make the next `times` calls of the verb raise the error. With `after_effect` what was asked
        happens all the same and only the answer is lost."""
        waiting = self._script.failures.setdefault(verb, deque())
        waiting.extend(_Failure(error, after_effect) for _ in range(times))

    def calls_of(self, verb: Verb) -> list[Call]:
        """The calls of one verb, in order."""
        return [call for call in self.calls if call.verb == verb]

    # --- the port --------------------------------------------------------------------------------------------------

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """See `PaymentPlatform.create_checkout`."""
        failure = self._asked("create_checkout", str(purchase.purchase_id), account)
        reference = self.reference_of(purchase)
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
        _lose_answer(failure)
        return self.payments[reference].checkout

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """See `PaymentPlatform.look_up`."""
        _lose_answer(self._asked("look_up", platform_reference, account))
        payment = self.payments.get(platform_reference)
        if payment is None or payment.opened_by != account.platform_account_id:
            return None
        return PaymentReport(
            platform_reference=platform_reference,
            status=payment.status,
            observed_at=now,
            price=payment.price,
            platform_account_id=payment.account_id or None,
            test=payment.test,
            refunded_minor=payment.refunded_minor,
            dispute=payment.dispute,
        )

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """See `PaymentPlatform.find_checkout`."""
        _lose_answer(self._asked("find_checkout", str(purchase.purchase_id), account))
        reference = self.reference_of(purchase)
        return reference if reference in self.payments else None

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """See `PaymentPlatform.cancel_checkout`."""
        failure = self._asked("cancel_checkout", platform_reference, account)
        payment = self.payments.get(platform_reference)
        if payment is not None and payment.status is PaymentStatus.PENDING:
            self._change(platform_reference, status=PaymentStatus.CANCELLED)
        _lose_answer(failure)

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """See `PaymentPlatform.read_notice`. `{"reference": …}` is a notice; `{"about": …}` is one about something
        else."""
        if set(payload) == {"about"}:
            return None
        reference = payload.get("reference")
        if not isinstance(reference, str) or not reference:
            raise MalformedMessage(f"no notice of {self.name}: it has no reference")
        return Notice(platform_reference=reference)

    def _asked(self, verb: Verb, about: str, account: PlatformAccount) -> _Failure | None:
        self.calls.append(Call(verb=verb, about=about, account=account))
        failure = self._script.next(verb)
        if failure is not None and not failure.after_effect:
            raise failure.error
        return failure

    def _change(self, reference: str, **values: Any) -> None:
        self.payments[reference] = replace(self.payments[reference], **values)


def _lose_answer(failure: _Failure | None) -> None:
    if failure is not None:
        raise failure.error
