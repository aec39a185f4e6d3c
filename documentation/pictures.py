"""The pictures of the explanation, drawn from what the code does: only where things stand on the paper is set here."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from billing_core.domain.purchases import OPEN, PAID, UNPAID_ENDS, PurchaseStatus
from billing_core.domain.trials import TrialStatus
from documentation.lives import Move, purchase_moves, trial_moves

# Where a picture is kept, and what draws it.
PICTURES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/explanation/purchase-life.svg": lambda: draw(purchase_plan(), purchase_moves()),
    "docs/explanation/trial-life.svg": lambda: draw(trial_plan(), trial_moves()),
}

Point = tuple[int, int]

_PILL_WIDTH, _PILL_HEIGHT, _GAP, _LINE = 140, 30, 12, 17
_STYLE: Final = """
text { font: 14px system-ui, sans-serif; fill: #1d2733 }
.title { font-weight: 600 }
.event { font: 12.5px ui-monospace, monospace; fill: #34506e }
.paper { fill: #fff; stroke: #d5dce4 }
.group { fill: #f2f6fa; stroke: #8ba3bb }
.pill { fill: #fff; stroke: #34506e }
.arrow { fill: none; stroke: #34506e; stroke-width: 1.6 }
.begin, marker path { fill: #34506e }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Statuses that stand together: where, under which words, how many in a row."""

    statuses: Collection[str]
    title: str
    at: Point
    in_a_row: int = 2

    @property
    def width(self) -> int:
        """As wide as its rows."""
        return self.in_a_row * (_PILL_WIDTH + _GAP) + _GAP

    def height(self, notes: Sequence[str]) -> int:
        """As high as its title, its rows and what is noted below them."""
        rows = -(-len(self.statuses) // self.in_a_row)
        return 30 + rows * (_PILL_HEIGHT + _GAP) + len(notes) * _LINE + (4 if notes else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A way between two groups (empty: where it begins), in words; `label` is where they begin."""

    before: str
    after: str
    words: str
    through: tuple[Point, ...]
    label: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A picture: its groups, the ways between them, and what may happen everywhere."""

    title: str
    size: Point
    groups: Mapping[str, Group]
    arrows: Sequence[Arrow]
    everywhere: str | None = None


def purchase_plan() -> Plan:
    """Where the statuses of a purchase stand."""
    return Plan(
        title="The life of a purchase",
        size=(900, 400),
        groups={
            "open": Group(statuses=OPEN, title="open: may be paid in time", at=(50, 30)),
            "paid": Group(statuses=PAID, title="paid: follows refunds and disputes", at=(566, 30)),
            "unpaid": Group(statuses=UNPAID_ENDS, title="ended without payment", at=(50, 236)),
        },
        arrows=(
            Arrow(before="", after="open", words="", through=((24, 75), (50, 75)), label=(60, 20)),
            Arrow(before="open", after="paid", words="paid", through=((366, 75), (566, 75)), label=(386, 65)),
            Arrow(before="open", after="unpaid", words="not paid", through=((206, 102), (206, 236)), label=(218, 130)),
            Arrow(
                before="unpaid",
                after="paid",
                words="paid after all: late",
                through=((366, 293), (722, 293), (722, 180)),
                label=(386, 314),
            ),
        ),
        everywhere="evt.billing.purchase.needs_review",
    )


def trial_plan() -> Plan:
    """Where the statuses of a trial stand."""
    return Plan(
        title="The life of a trial",
        size=(900, 300),
        groups={
            "active": Group(statuses=("active",), title="running", at=(50, 40), in_a_row=2),
            "over": Group(statuses=("expired", "converted", "ended"), title="over", at=(640, 40), in_a_row=1),
            "refused": Group(statuses=("refused",), title="asked for in vain", at=(50, 214), in_a_row=2),
        },
        arrows=(
            Arrow(before="", after="active", words="", through=((24, 85), (50, 85)), label=(60, 24)),
            Arrow(before="", after="refused", words="", through=((24, 85), (24, 250), (50, 250)), label=(60, 206)),
            Arrow(
                before="active",
                after="over",
                words="its end, or a purchase",
                through=((366, 85), (640, 85)),
                label=(386, 75),
            ),
        ),
    )


def draw(plan: Plan, moves: Collection[Move]) -> str:
    """This will draw the plan as SVG, with the events that the moves announce. Raises ValueError where statuses or ways
    are drawn that there are not, or are not drawn though they are there."""
    of = {status: name for name, group in plan.groups.items() for status in group.statuses}
    found = {status for move in moves for status in (move.before, move.after) if status}
    ways = {(of.get(move.before, ""), of[move.after]) for move in moves if move.after in of}
    drawn = {(each.before, each.after) for each in plan.arrows}
    between = {(before, after) for before, after in ways if before != after}
    if found != set(of) or between != drawn:
        raise ValueError(f"{plan.title}: draw {found ^ set(of)} and {between ^ drawn}")
    events = {(before, after): _events(plan, moves, of, before, after) for before, after in ways}
    return "\n".join((*_head(plan), *_body(plan, events), "</svg>")) + "\n"


def _events(plan: Plan, moves: Collection[Move], of: Mapping[str, str], before: str, after: str) -> Sequence[str]:
    told = {move.event for move in moves if (of.get(move.before, ""), of[move.after]) == (before, after) and move.event}
    return sorted(each.removeprefix("evt.billing.") for each in told if each != plan.everywhere)


def _head(plan: Plan) -> Iterator[str]:
    width, height = plan.size
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">'
    yield f'<title id="title">{escape(plan.title)}</title>'
    yield f"<style>{_STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    yield f'<rect class="paper" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>'


def _body(plan: Plan, events: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[str]:
    for name, group in plan.groups.items():
        yield from _group(group, events.get((name, name), ()))
    for arrow in plan.arrows:
        yield from _arrow(arrow, events[arrow.before, arrow.after])
    if plan.everywhere is not None:
        name = plan.everywhere.removeprefix("evt.billing.")
        words = "In every status a person may have to look:"
        yield f'<text x="50" y="{plan.size[1] - 24}">{words} <tspan class="event">{escape(name)}</tspan></text>'


def _group(group: Group, notes: Sequence[str]) -> Iterator[str]:
    x, y = group.at
    yield f'<rect class="group" x="{x}" y="{y}" width="{group.width}" height="{group.height(notes)}" rx="8"/>'
    yield _text((x + _GAP, y + 20), group.title, "title")
    for place, status in enumerate(sorted(group.statuses, key=_in_order)):
        row, column = divmod(place, group.in_a_row)
        left, top = x + _GAP + column * (_PILL_WIDTH + _GAP), y + 30 + row * (_PILL_HEIGHT + _GAP)
        yield (
            f'<rect class="pill" x="{left}" y="{top}" width="{_PILL_WIDTH}" height="{_PILL_HEIGHT}" '
            f'rx="{_PILL_HEIGHT // 2}"/>'
        )
        yield _text((left + _PILL_WIDTH // 2, top + 20), status, "middle")
    bottom = y + group.height(notes)
    for line, note in enumerate(notes):
        yield _text((x + _GAP, bottom - 8 - (len(notes) - 1 - line) * _LINE), note, "event")


def _in_order(status: str) -> int:
    """As the code lists them."""
    return [*map(str, PurchaseStatus), *map(str, TrialStatus)].index(status)


def _arrow(arrow: Arrow, events: Sequence[str]) -> Iterator[str]:
    if not arrow.before:
        x, y = arrow.through[0]
        yield f'<circle class="begin" cx="{x}" cy="{y}" r="6"/>'
    path = " ".join(f"{x} {y}" for x, y in arrow.through)
    yield f'<path class="arrow" marker-end="url(#tip)" d="M{path}"/>'
    x, y = arrow.label
    lines = [(arrow.words, "title"), *((event, "event") for event in events)]
    lines = [each for each in lines if each[0]]
    # Words above a level line part from the events below it.
    below = 2 * _LINE if arrow.words and y < arrow.through[0][1] and len(arrow.through) == 2 else _LINE
    for line, (text, kind) in enumerate(lines):
        yield _text((x, y if line == 0 else y + below + (line - 1) * _LINE), text, kind)


def _text(at: Point, text: str, kind: str = "") -> str:
    anchor = ' text-anchor="middle"' if kind == "middle" else ""
    name = f' class="{kind}"' if kind in ("title", "event") else ""
    return f'<text x="{at[0]}" y="{at[1]}"{name}{anchor}>{escape(text)}</text>'
