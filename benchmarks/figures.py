"""What a measurement gives: a value for each repeat, and what it is held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the median of a figure has to reach: one bound, or both."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        bounds = (("≥", self.at_least), ("≤", self.at_most))
        return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the result. `values` has one value for each repeat; ratios have no unit."""

    name: str
    values: Sequence[float]
    unit: str = ""
    target: Target | None = None

    @property
    def lowest(self) -> float:
        """The smallest of the repeats."""
        return min(self.values)

    @property
    def median(self) -> float:
        """The middle of the repeats: what the target is held against."""
        return median(self.values)

    @property
    def highest(self) -> float:
        """The largest of the repeats."""
        return max(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none."""
        return None if self.target is None else self.target.is_met(self.median)


def at_least(value: float) -> Target:
    """A target to reach."""
    return Target(at_least=value)


def at_most(value: float) -> Target:
    """A target not to exceed."""
    return Target(at_most=value)


def ratio(name: str, values: Sequence[float], of: Sequence[float], target: Target | None = None) -> Figure:
    """This will divide repeat by repeat: what disturbed the machine during a repeat disturbed both."""
    return Figure(name=name, values=tuple(one / other for one, other in zip(values, of, strict=True)), target=target)
