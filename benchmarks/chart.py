"""The chart: each figure that has a target, as a share of it, from its smallest to its largest repeat."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.report import Measured

MET, MISSED = "#2a7f62", "#b5432a"
ROW_INCHES = 0.3


def draw(results: Sequence[Measured], path: Path) -> None:
    """This will write the chart as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    # Words stay words, and the same figures give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "billing"})
    from matplotlib import pyplot as plt

    rows = [(result.workload.name, each) for result in results for each in result.figures if each.target is not None]
    drawing, axes = plt.subplots(figsize=(10, 1.2 + ROW_INCHES * len(rows)), layout="constrained")
    for place, (_, figure) in enumerate(rows):
        low, middle, high = sorted(_share(figure, value) for value in (figure.lowest, figure.median, figure.highest))
        axes.barh(place, middle, height=0.6, color=MET if figure.is_met else MISSED)
        axes.plot([low, high], [place, place], color="black", linewidth=1, marker="|")
        told = f"{figure.median:.3g} {figure.unit} ({figure.target})"
        axes.text(1.01, place, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{name}: {figure.name}" for name, figure in rows], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("share of the target; at 1 and beyond it is met")
    axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def _share(figure: Figure, value: float) -> float:
    """How much of the target the value is: 1 is the target, more is better."""
    target = figure.target
    shares = [] if target is None or target.at_least is None else [value / target.at_least]
    if target is not None and target.at_most is not None:
        shares.append(target.at_most / value)
    return min(shares, default=1.0)
