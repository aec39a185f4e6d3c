"""What people read of a run."""

from collections import Counter
from collections.abc import Sequence

from tests.faults.simulation.world import run_seed

# A run that never gets there proves nothing about it. Each of these is reached in every few hundred worlds.
SOMETIMES = (
    "409 key in use",
    "409 trial used",
    "422 key reused",
    "replay",
    "redelivery",
    "duplicate message",
    "parked poison",
    "late payment",
    "lost notice",
    "lost reply",
    "relay takeover",
    "restart",
    "refund",
    "refund without notice",
    "dispute",
    "review",
    "second checkout",
    "change after the archive",
    "shop redacted",
    "shop came back",
)


def told(seed: int, *, steps_too: bool = False) -> str:
    """This will run a seed once more and tell its history, and the rules it broke."""
    outcome = run_seed(seed, told=True, steps_too=steps_too)
    broken = [f"  - {each}" for each in outcome.broken] or ["  none"]
    return "\n".join(
        [
            f"seed {seed}, replay it with: script/simulate --trace {seed}",
            *outcome.lines,
            f"rules broken by seed {seed}:",
            *broken,
        ]
    )


def unreached(reached: Counter[str]) -> Sequence[str]:
    """The remarkable states that were not reached."""
    return [state for state in SOMETIMES if not reached[state]]
