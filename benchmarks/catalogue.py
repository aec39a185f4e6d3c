"""Every workload, in the order of the issue's table."""

from collections.abc import Sequence

from benchmarks.workload import Workload
from benchmarks.workloads.http import HTTP_WORKLOADS
from benchmarks.workloads.settle import SETTLE

WORKLOADS: Sequence[Workload] = (*HTTP_WORKLOADS, SETTLE)


def wanted(names: Sequence[str]) -> Sequence[Workload]:
    """Those whose letter or name was given; all where none was. Raises ValueError for a name nobody has."""
    known = {key: each for each in WORKLOADS for key in (each.name, *each.name.split(" ", 1))}
    if unknown := set(names) - known.keys():
        raise ValueError(f"no workload is called {', '.join(sorted(unknown))}; there are {_list()}")
    chosen = [known[name] for name in names]
    return [each for each in WORKLOADS if not names or each in chosen]


def _list() -> str:
    return ", ".join(each.name for each in WORKLOADS)
