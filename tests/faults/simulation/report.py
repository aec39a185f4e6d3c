"""What people read of a run."""

from tests.faults.simulation.world import run_seed


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
