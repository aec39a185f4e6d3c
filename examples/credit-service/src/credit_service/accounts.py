"""What each of Billing's events does to a merchant's credits. Pure: an event in, a movement out.

Credits stand on accounts: one for each trial, purchase and grant. So what is taken back is taken back from where it
came, and a trial that ends takes only its own with it.
"""

from dataclasses import dataclass

from billing_core.domain.events import (
    CreditsGranted,
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    Fact,
    TrialConverted,
    TrialEnded,
    TrialExpired,
    TrialStarted,
)


@dataclass(frozen=True, slots=True)
class Move:
    """Credits to an account, or, below zero, from it."""

    account: str
    credits: int


@dataclass(frozen=True, slots=True)
class Close:
    """Whatever is left on an account goes."""

    account: str


def movement(fact: Fact) -> Move | Close | None:
    """What the fact does to the merchant's credits; None: nothing, it is told for others."""
    match fact:
        case TrialStarted():
            return Move(f"trial {fact.trial_id}", fact.credits)
        case TrialExpired() | TrialEnded():
            return Close(f"trial {fact.trial_id}")
        case TrialConverted(trial_ended=True):
            return Close(f"trial {fact.trial_id}")
        case CreditsPurchased():
            return Move(f"purchase {fact.purchase_id}", fact.credits + fact.bonus_credits)
        case CreditsReversed():
            return Move(f"purchase {fact.purchase_id}", -fact.credits)
        case CreditsRestored():
            return Move(f"purchase {fact.purchase_id}", fact.credits)
        case CreditsGranted():
            return Move(f"grant {fact.grant_id}", fact.credits)
        case _:
            return None
