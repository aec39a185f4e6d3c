"""A report of sales as a picture: a panel for the money of each currency, and one for purchases chosen and paid.

matplotlib is not installed with the command line (`billing-cli[pictures]`), so it is imported where it draws.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from billing_cli.errors import CannotWrite, ExtraMissing
from billing_cli.terminal import plain
from billing_core.domain.sales import EVERYTHING, SalesLine, SalesReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")
KEPT, GONE, CHOSEN = "#2a7f62", "#c9694e", "#d5dcd8"
PANEL_INCHES, WIDTH_INCHES = 2.2, 9.0
FEWEST_PLACES = 4  # a lone bar is no wall
MOST_NAMED = 16  # bars that still have room for a word
WIDEST_WORDS = 90  # characters of words that stand side by side without being turned


def must_be_drawable() -> None:
    """This will check that pictures can be drawn here. Raises ExtraMissing."""
    if find_spec("matplotlib") is None:
        raise ExtraMissing("A picture", "matplotlib", "pictures")


def draw(report: SalesReport, path: Path) -> None:
    """This will write the picture, in the format its name ends in. Raises CannotWrite."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = len(report.totals) + 1
    # Words stay words, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "billing", "font.size": 9}):
        figure = Figure(figsize=(WIDTH_INCHES, 1.0 + PANEL_INCHES * panels), layout="constrained")
        figure.suptitle(_title(report), fontsize=11)
        axes: Sequence[Axes] = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
        for total, panel in zip(report.totals, axes, strict=False):
            _draw_money(panel, report, total)
        _draw_counts(axes[-1], report)
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {}, dpi=144)
        except OSError as fault:
            raise CannotWrite(fault) from fault


def _title(report: SalesReport) -> str:
    question, trials = report.question, report.all_trials
    last = question.period.until - timedelta(microseconds=1)
    days = f"{question.period.since:%Y-%m-%d} to {last:%Y-%m-%d}"
    by = f" by {question.by}" if question.by else ""
    test = ", test purchases too" if question.test else ""
    bought = f"{trials.started:,} trials started, {trials.converted:,} bought ({trials.conversion:.1%})"
    return f"Sales{by}, {days}{test}\n{bought}"


def _keys(report: SalesReport) -> Sequence[str]:
    """What there is a bar for, in order: the days without sales, too."""
    keys = list(dict.fromkeys(each.key for each in report.lines))
    if report.question.by != "day" or not keys:
        return keys
    first, last = date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])
    return [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]


def _draw_money(panel: "Axes", report: SalesReport, total: SalesLine) -> None:
    """One currency: what was paid, as far as it was kept, and what was given back on top of it."""
    lines = {each.key: each for each in report.lines if each.currency == total.currency}
    keys = list(lines) if report.question.by == "currency" else _keys(report)
    places = [place for place, key in enumerate(keys) if key in lines]
    found = [lines[keys[place]] for place in places]
    kept = [_units(each, each.net_minor) for each in found]
    gone = [_units(each, each.refunded_minor + each.disputed_minor) for each in found]
    panel.bar(places, kept, color=KEPT, label=f"kept {_grouped(total, total.net_minor)}")
    lost = _grouped(total, total.refunded_minor + total.disputed_minor)
    panel.bar(places, gone, bottom=kept, color=GONE, label=f"given back or disputed {lost}")
    panel.set_ylabel(total.currency)
    _finish(panel, [] if report.question.by != "currency" else keys, len(keys))
    _scale(panel, max((each + more for each, more in zip(kept, gone, strict=True)), default=0.0))


def _draw_counts(panel: "Axes", report: SalesReport) -> None:
    """How many packs were chosen, how many of them paid, and which part that is."""
    keys = _keys(report)
    created, paid = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    for line in report.lines:  # purchases can be added up over currencies; money cannot
        created[line.key] += line.created
        paid[line.key] += line.paid
    if keys:
        panel.bar(range(len(keys)), list(created.values()), color=CHOSEN, label=f"chosen {sum(created.values()):,}")
        panel.bar(range(len(keys)), list(paid.values()), color=KEPT, label=f"paid {sum(paid.values()):,}")
    else:
        panel.text(0.5, 0.5, "Nobody chose a pack in that time.", transform=panel.transAxes, ha="center", va="center")
    if len(keys) <= MOST_NAMED:
        for place, key in enumerate(keys):
            part = paid[key] / created[key] if created[key] else 0.0
            panel.text(place, created[key], f"{part:.0%}", ha="center", va="bottom")
    panel.set_ylabel("purchases")
    _finish(panel, keys, len(keys))
    _scale(panel, max(created.values(), default=0), room=1.2)


def _finish(panel: "Axes", named: Sequence[str], places: int) -> None:
    step = -(-len(named) // MOST_NAMED) or 1
    words = [(place, "" if key == EVERYTHING else plain(key)) for place, key in enumerate(named)][::step]
    panel.set_xticks([place for place, _ in words], [word for _, word in words])
    if max((len(word) for _, word in words), default=0) * len(words) > WIDEST_WORDS:
        for label in panel.get_xticklabels():
            label.set(rotation=35, ha="right")
    panel.set_xlim(-0.6, max(places, FEWEST_PLACES) - 0.4)
    panel.spines[["top", "right"]].set_visible(False)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)


def _scale(panel: "Axes", highest: float, *, room: float = 1.05) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    panel.set_ylim(0, room * highest or 1)
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=highest >= 5))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if highest >= 5 else "{x:g}"))


def _units(line: SalesLine, minor: int) -> float:
    return float(line.amount(minor))


def _grouped(line: SalesLine, minor: int) -> str:
    return f"{Decimal(line.amount(minor)):,}"
