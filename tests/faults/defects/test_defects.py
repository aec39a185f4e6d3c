"""Each way of building Billing wrong that is listed is caught, so a world in which nothing is found means something."""

from typing import Any

import pytest
from tests.faults.defects import __main__ as command
from tests.faults.defects.catalogue import DEFECTS, REAL, WALLS, listed
from tests.faults.defects.defect import Defect, built_wrong
from tests.faults.defects.hunt import hunt, hunt_by_test

SIMULATED = {name: each.simulated for name, each in DEFECTS.items() if each.simulated is not None}
IN_THIS_PROCESS = {**SIMULATED, **{name: each.wall for name, each in WALLS.items() if each.wall is not None}}
ENOUGH, ENOUGH_REAL, ENOUGH_OF_TOKENS = 20, 7, 2
# As many as the longest hunt below takes.
SOUND_SEEDS = 24


@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulator_catches_it(name: str) -> None:
    """Within 300 seeds a rule is broken, and not only because a process fell over."""
    hunted = hunt(SIMULATED[name])

    assert hunted.broken
    assert not all("fell over" in each for each in hunted.broken)


def test_without_a_defect_nothing_is_found() -> None:
    """The same worlds break no rule when nothing is wrong."""
    assert hunt(None, seeds=SOUND_SEEDS).broken == ()


@pytest.mark.parametrize("name", WALLS)
def test_the_test_behind_the_wall_catches_it(name: str) -> None:
    """With the wall taken down the test that is named fails; it passes in every other run."""
    hunted = hunt_by_test(name, WALLS[name].caught_by)

    assert any(each.startswith(WALLS[name].caught_by) for each in hunted.broken)


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_it_is_undone(name: str) -> None:
    """Afterwards everything that was broken is what it was."""
    touched: list[tuple[Any, str, Any]] = []
    broken = IN_THIS_PROCESS[name]
    broken(lambda owner, attribute, _: touched.append((owner, attribute, vars(owner)[attribute])))

    with built_wrong(broken):
        assert all(vars(owner)[attribute] is not was for owner, attribute, was in touched)

    assert touched
    assert all(vars(owner)[attribute] is was for owner, attribute, was in touched)


def test_the_list_is_long_enough() -> None:
    """At least twenty, under a name each, with a sentence about each."""
    assert len(SIMULATED) >= ENOUGH
    assert len(REAL) >= ENOUGH_REAL
    assert sum("test_tokens.py" in each.caught_by for each in WALLS.values()) >= ENOUGH_OF_TOKENS
    assert all(len(each.about) > len(each.name) for each in DEFECTS.values())


def test_both_ways_of_building_it_in_have_one_name() -> None:
    """What the simulator and chaos both look for is called the same."""
    both = [each for each in DEFECTS.values() if each.simulated and each.real]

    assert all(each.simulated.__name__ == each.real.__name__ for each in both if each.simulated and each.real)


def test_two_of_one_name_cannot_be_listed() -> None:
    """The list says so instead of leaving one out."""
    one = next(iter(DEFECTS.values()))

    with pytest.raises(ValueError, match=f"listed twice: {one.name}"):
        listed(one, one)


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def hurried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It looks at fewer worlds than it does for a person."""
        monkeypatch.setattr(command, "hunt", lambda broken, **_: hunt(broken, seeds=2))

    def test_tells_who_catches_a_defect(self, capsys: pytest.CaptureFixture[str]) -> None:
        """After how many seeds and faults, what is wrong and which rule found it out; progress is told beside it."""
        assert command.main(["--only", "trial_per_merchant"]) == 0

        told = capsys.readouterr()
        assert "(none)                         nobody         2 seeds" in told.out
        assert "trial_per_merchant             simulator" in told.out
        assert "had 2 trials" in told.out
        assert "1 of 1: trial_per_merchant" in told.err

    def test_fails_where_one_is_not_caught(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A defect that nobody finds is told at the end, and in the exit code."""

        def harmless(_: object) -> None:
            """nothing is wrong at all"""

        monkeypatch.setattr(command, "DEFECTS", {"harmless": Defect(simulated=harmless)})

        assert command.main([]) == 1

        told = capsys.readouterr().out
        assert "not simulator" in told
        assert "not caught: harmless" in told
