"""What each event does to a merchant's credits."""

import pytest

from billing_core.testing import MerchantEvents, decode
from billing_core.testing.event_builders import EVENT_TYPES
from credit_service.accounts import Close, Move, movement

TRIAL, PURCHASE, GRANT = (f"0199c3a8-52c1-7e6b-9a51-00000000000{number}" for number in (1, 2, 3))
MOVES = [
    ("trial.started", {"trial_id": TRIAL, "credits": 500}, Move(f"trial {TRIAL}", 500)),
    ("trial.expired", {"trial_id": TRIAL}, Close(f"trial {TRIAL}")),
    ("trial.ended", {"trial_id": TRIAL}, Close(f"trial {TRIAL}")),
    ("trial.converted", {"trial_id": TRIAL, "trial_ended": True}, Close(f"trial {TRIAL}")),
    (
        "credits.purchased",
        {"purchase_id": PURCHASE, "credits": 90, "bonus_credits": 9},
        Move(f"purchase {PURCHASE}", 99),
    ),
    ("credits.reversed", {"purchase_id": PURCHASE, "credits": 40}, Move(f"purchase {PURCHASE}", -40)),
    ("credits.restored", {"purchase_id": PURCHASE, "credits": 40}, Move(f"purchase {PURCHASE}", 40)),
    ("credits.granted", {"grant_id": GRANT, "credits": 50}, Move(f"grant {GRANT}", 50)),
]
NOTHING = [
    "trial.converted", "trial.expiring", "trial.extended", "trial.refused", "purchase.created", "purchase.declined",
    "purchase.failed", "purchase.expired", "purchase.cancelled", "purchase.needs_review",
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "moved"), MOVES, ids=[name for name, *_ in MOVES])
def test_credits_move(name: str, data: dict[str, object], moved: Move | Close) -> None:
    """To and from the account of what brought them."""
    event = MerchantEvents().tell(f"evt.billing.{name}", **data)

    assert movement(decode(event.body).data) == moved


@pytest.mark.parametrize("name", NOTHING)
def test_other_events_move_nothing(name: str) -> None:
    """A trial that goes on after a purchase keeps its credits; a purchase brings them only once it is paid."""
    event = MerchantEvents().tell(f"evt.billing.{name}")

    assert movement(decode(event.body).data) is None


def test_nothing_billing_tells_was_forgotten() -> None:
    """A new event of Billing's fails here first."""
    assert {f"evt.billing.{name}" for name in (*(name for name, *_ in MOVES), *NOTHING)} == set(EVENT_TYPES)
