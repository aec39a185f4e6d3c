"""What can become of a purchase and of a trial: found by trying, and drawn as it is found."""

from pathlib import Path

import pytest
from documentation.lives import Move, purchase_moves, trial_moves
from documentation.pictures import PICTURES, draw, purchase_plan

from billing_core.domain.purchases import OPEN, PAID, UNPAID_ENDS, PurchaseStatus
from billing_core.domain.trials import TrialStatus

ROOT = Path(__file__).parents[2]


def test_every_status_of_a_purchase_is_reached() -> None:
    """From the beginning, by acts alone."""
    assert {move.after for move in purchase_moves()} == set(PurchaseStatus)


def test_nothing_unpaid_follows_payment() -> None:
    """And whatever ended without payment can only be paid."""
    moves = purchase_moves()

    assert {move.after for move in moves if move.before in PAID} <= PAID
    assert {move.after for move in moves if move.before in UNPAID_ENDS} == UNPAID_ENDS | {PurchaseStatus.COMPLETED}
    assert {move.after for move in moves if move.before in OPEN} >= UNPAID_ENDS | {PurchaseStatus.COMPLETED}


def test_credits_come_with_payment_alone() -> None:
    """`credits.purchased` is announced by exactly the moves that complete a purchase out of what was not paid."""
    moves = purchase_moves()

    paying = {move for move in moves if move.event == "evt.billing.credits.purchased"}
    assert paying == {move for move in moves if move.after in PAID and move.before not in PAID}


def test_every_status_of_a_trial_is_reached_and_an_end_is_final() -> None:
    """Nothing follows an end."""
    moves = trial_moves()

    assert {move.after for move in moves} == set(TrialStatus)
    assert {move.before for move in moves} == {"", TrialStatus.ACTIVE}


@pytest.mark.parametrize("path", PICTURES)
def test_the_picture_in_the_repository_is_what_the_code_does(path: str) -> None:
    """`script/docs --pictures` draws it anew."""
    assert (ROOT / path).read_text("utf-8") == PICTURES[path]()


@pytest.mark.parametrize(
    "move",
    [
        Move(before="pending", after="lost", what="lost", event=""),
        Move(before="completed", after="expired", what="expired", event=""),
    ],
)
def test_a_move_that_has_no_place_is_refused(move: Move) -> None:
    """A status that is not drawn, or a way between statuses that is not."""
    with pytest.raises(ValueError, match="The life of a purchase"):
        draw(purchase_plan(), {*purchase_moves(), move})


def test_a_way_that_is_drawn_and_not_there_is_refused() -> None:
    """So a rule that falls away falls away in the picture."""
    without = {move for move in purchase_moves() if move.before not in UNPAID_ENDS or move.before == move.after}

    with pytest.raises(ValueError, match="unpaid"):
        draw(purchase_plan(), without)
