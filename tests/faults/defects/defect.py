"""What a seeded defect is, and how Billing is built wrong with one for a while."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

Patch = Callable[[Any, str, Any], None]
"""Puts something wrong in the place of an owner's attribute."""

Break = Callable[[Patch], None]
"""Builds Billing wrong by its patches. Its name and its docstring are the defect's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One way to build it wrong: in the simulator's world in memory, in real processes, or in both; or a wall taken
    down, which the test `caught_by` stands behind."""

    simulated: Break | None = None
    real: Break | None = None
    wall: Break | None = None
    caught_by: str = ""

    def __post_init__(self) -> None:
        if self._told_by is None:
            raise ValueError("a defect is built in somewhere")
        if (self.wall is None) != (self.caught_by == ""):
            raise ValueError("behind a wall that is taken down stands a test, and behind nothing else")

    @property
    def name(self) -> str:
        """What it is called on a command line."""
        return str(self._told_by.__name__)

    @property
    def about(self) -> str:
        """What is wrong, in a sentence."""
        return " ".join((inspect.getdoc(self._told_by) or "").split())

    @property
    def _told_by(self) -> Any:
        return self.simulated or self.real or self.wall


@contextmanager
def built_wrong(broken: Break) -> Iterator[None]:
    """This will build Billing wrong in this process to the end of the block, and right again after it."""
    with ExitStack() as undoing:

        def patch(owner: Any, name: str, wrong: Any) -> None:
            undoing.enter_context(mock.patch.object(owner, name, wrong))

        broken(patch)
        yield


def build_wrong(broken: Break) -> None:
    """This will build Billing wrong in this process, for as long as it lives."""
    broken(setattr)
