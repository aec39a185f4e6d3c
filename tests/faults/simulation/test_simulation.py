"""Thousands of worlds, each with its storm, and nothing lost, nothing twice in any of them."""

from collections import Counter

import pytest
from tests.faults.simulation.loop import simulate
from tests.faults.simulation.report import told, unreached
from tests.faults.simulation.world import run_seed

# The nightly `script/simulate --seeds 100000` goes on where these end.
SEEDS, CHUNK = 3_000, 250
FAULTS = 5 * SEEDS


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_and_nothing_comes_twice(first: int) -> None:
    """No seed breaks a rule; together they have their share of faults, and reach every state that matters."""
    reached: Counter[str] = Counter()
    faults = 0

    for seed in range(first, first + CHUNK):
        outcome = run_seed(seed)
        assert not outcome.broken, told(seed)
        reached += outcome.reached
        faults += outcome.faults

    assert faults >= FAULTS * CHUNK // SEEDS
    assert unreached(reached) == []


@pytest.mark.parametrize("seed", [1, 77, 4_096])
def test_a_seed_replays_exactly(seed: int) -> None:
    """The history of a seed, with every step of every process, is the same each time."""
    once, again = (run_seed(seed, told=True, steps_too=True) for _ in range(2))

    assert once == again
    assert len(once.lines) > 100


def test_a_broken_rule_is_told_with_its_history() -> None:
    """What a failing test prints names the seed, the command that replays it, and what happened."""
    text = told(1)

    assert "script/simulate --trace 1" in text
    assert "asks for" in text


def test_worlds_differ() -> None:
    """Two seeds are two histories."""
    assert run_seed(1, told=True).lines != run_seed(2, told=True).lines


def test_the_loop_is_left_clean() -> None:
    """A world leaves no loop behind: the next one starts from nothing."""

    async def nothing() -> int:
        return 1

    run_seed(3)

    assert simulate(nothing(), seed=3) == 1
