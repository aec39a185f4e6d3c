"""What must hold after every step (contract §5), told from the records, the platforms' books and what clients heard."""

from collections import defaultdict
from uuid import UUID

from tests.machine.world import SHOPS, Books, World

from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.domain.purchases import UNPAID_ENDS, Purchase, PurchaseStatus
from billing_core.testing.scripted_platform import Payment


class Oracle:
    """Holds the records against the rules, and against what they were before."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = Books(purchases={}, histories={}, events=())

    def check(self, books: Books) -> None:
        """This will raise AssertionError where a rule is broken."""
        each_payment_is_announced_once_as_it_is_recorded(books)
        histories_have_no_gaps_and_tell_of_lateness(books)
        credits_taken_back_follow_the_money(books)
        a_shop_has_one_trial(books)
        events_are_numbered_without_gaps(books)
        what_was_decided_stays(self._before, books)
        one_url_was_handed_out(self._world, books)
        credits_have_their_payment(self._world, books)
        no_payment_is_silent(self._world, books)
        what_is_published_is_in_order(self._world)
        self._before = books


# --- of the records alone --------------------------------------------------------------------------------------------


def each_payment_is_announced_once_as_it_is_recorded(books: Books) -> None:
    """Exactly one credits.purchased for each paid purchase, with the record's data, and none for any other."""
    told = books.told("credits.purchased")
    paid = {str(each.purchase_id): each for each in books.purchases.values() if each.is_paid}
    assert sorted(data["purchase_id"] for data in told) == sorted(paid)
    for data in told:
        purchase = paid[data["purchase_id"]]
        assert (data["merchant_id"], data["pack"]) == (purchase.merchant_id, purchase.offer.pack)
        assert (data["credits"], data["bonus_credits"]) == (purchase.offer.credits, purchase.offer.bonus_credits)
        assert data["price"]["amount_minor"] == purchase.offer.price.amount_minor
        assert (data["late"], data["test"]) == (purchase.late, purchase.test)


def histories_have_no_gaps_and_tell_of_lateness(books: Books) -> None:
    """Every change is numbered and follows from the one before; late is what was paid after an unpaid end."""
    for purchase_id, purchase in books.purchases.items():
        history = books.histories[purchase_id]
        assert [entry.number for entry in history] == list(range(1, purchase.version + 1))
        assert [entry.status_before for entry in history] == [None, *(entry.status_after for entry in history[:-1])]
        assert history[-1].status_after == purchase.status
        completed_from = [entry.status_before for entry in history if entry.what == "completed"]
        assert len(completed_from) == purchase.is_paid
        assert purchase.late == any(status in UNPAID_ENDS for status in completed_from)


def credits_taken_back_follow_the_money(books: Books) -> None:
    """Reversed less restored is what the record says, and that is the share of the money that went back."""
    taken: dict[str, int] = defaultdict(int)
    for sign, kind in ((1, "reversed"), (-1, "restored")):
        for data in books.told(f"credits.{kind}"):
            taken[data["purchase_id"]] += sign * data["credits"]
    for purchase in books.purchases.values():
        assert purchase.credits_reversed == taken[str(purchase.purchase_id)] == _to_take_back(purchase)


def a_shop_has_one_trial(books: Books) -> None:
    """Whatever merchant ids it came under, and each trial's facts are told once."""
    shops = [SHOPS[data["merchant_id"]] for data in books.told("trial.started")]
    assert len(shops) == len(set(shops))
    for once in ("expired", "converted", "refused"):
        trials = [data["trial_id"] for data in books.told(f"trial.{once}")]
        assert len(trials) == len(set(trials))


def events_are_numbered_without_gaps(books: Books) -> None:
    """Each merchant's events by their sequence from 1, each id once."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in books.events:
        numbers[event.merchant_id].append(event.sequence)
    assert all(sorted(each) == list(range(1, len(each) + 1)) for each in numbers.values())
    ids = [event.event_id for event in books.events]
    assert len(ids) == len(set(ids))


# --- of the records as they were before ------------------------------------------------------------------------------


def what_was_decided_stays(before: Books, after: Books) -> None:
    """Nothing leaves payment, nothing refunded comes back, and what was offered and handed out never changes."""
    for purchase_id, earlier in before.purchases.items():
        later = after.purchases[purchase_id]
        assert later.offer == earlier.offer
        assert later.is_paid >= earlier.is_paid
        assert later.refunded_minor >= earlier.refunded_minor, "an older answer undid a newer one"
        assert earlier.checkout_url in (None, later.checkout_url)
        accepted = later.is_paid and not earlier.is_paid  # an operator may have taken another payment for it
        assert accepted or earlier.platform_reference in (None, later.platform_reference)
        assert later.status is not PurchaseStatus.CREATED or earlier.status is PurchaseStatus.CREATED


# --- of the platforms' books, and what clients heard -----------------------------------------------------------------


def one_url_was_handed_out(world: World, books: Books) -> None:
    """For each purchase at most one, and it is the recorded one of the recorded checkout."""
    for purchase_id, urls in world.told.urls.items():
        assert urls == {books.purchases[UUID(purchase_id)].checkout_url}
    for purchase in books.purchases.values():
        mine = [each for each in world.payments.values() if each.purchase.purchase_id == purchase.purchase_id]
        if not purchase.is_paid:
            mine = [each for each in mine if each.checkout.platform_reference == purchase.platform_reference]
        assert purchase.checkout_url in {None, *(each.checkout.url for each in mine)}


def credits_have_their_payment(world: World, books: Books) -> None:
    """Whoever has credits paid, as offered or as an operator accepted; and one payment gives credits once."""
    paid = [each for each in books.purchases.values() if each.is_paid]
    assert len({each.platform_reference for each in paid}) == len(paid)
    for purchase in paid:
        payment = world.payments[str(purchase.platform_reference)]
        assert payment.purchase.purchase_id == purchase.purchase_id
        assert payment.status is PaymentStatus.PAID
        assert matches(payment) or purchase.purchase_id in world.told.accepted


def no_payment_is_silent(world: World, books: Books) -> None:
    """A payment that we were told of gave credits, or waits for a person, or a person has decided (rule 2)."""
    for platform in world.platforms.values():
        for reference in platform.told - world.told.decided:
            purchase = books.purchases[platform.payments[reference].purchase.purchase_id]
            gave_credits = purchase.is_paid and purchase.platform_reference == reference
            assert gave_credits or purchase.needs_review, f"{reference} is paid and nobody knows"


def what_is_published_is_in_order(world: World) -> None:
    """The broker has each merchant's events from the first on, in order."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in world.billing.published:
        numbers[event.merchant_id].append(event.sequence)
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())


# --- once everything has come to rest --------------------------------------------------------------------------------


def open_ones_are_unpaid(world: World, books: Books) -> None:
    """The reconciler alone finds every payment of an open purchase, though each notice was lost."""
    for reference, payment in world.payments.items():
        purchase = books.purchases[payment.purchase.purchase_id]
        ours = purchase.platform_reference in (None, reference)
        assert not (purchase.is_open and ours and payment.status is PaymentStatus.PAID) or purchase.needs_review


def money_and_credits_agree(world: World, books: Books) -> None:
    """Every payment as offered gave its credits, and what went back there was taken back here."""
    for reference, payment in world.payments.items():
        purchase = books.purchases[payment.purchase.purchase_id]
        if payment.status is PaymentStatus.PAID and matches(payment):
            assert purchase.is_paid or purchase.platform_reference not in (None, reference)
        if purchase.is_paid and purchase.platform_reference == reference:
            assert purchase.refunded_minor == min(payment.refunded_minor, paid_minor(purchase))
            if world.platforms[purchase.platform].tells_refunds:
                assert purchase.dispute is payment.dispute


def matches(payment: Payment) -> bool:
    """Whether it is the payment that was offered."""
    offered = (payment.purchase.offer.price, payment.purchase.platform_account_id)
    return (payment.price, payment.account_id) == offered


def paid_minor(purchase: Purchase) -> int:
    """What refunds are counted against: what was paid, also where an operator accepted another amount."""
    return purchase.offer.price.amount_minor if purchase.paid_minor is None else purchase.paid_minor


def _to_take_back(purchase: Purchase) -> int:
    total = purchase.offer.total_credits
    if purchase.dispute in (DisputeStatus.OPEN, DisputeStatus.LOST):
        return total
    whole, rest = divmod(total * purchase.refunded_minor, paid_minor(purchase))
    return whole + (rest > 0)
