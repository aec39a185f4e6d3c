"""Every workload, in the order of the issue's table."""

from collections.abc import Sequence

from benchmarks.workload import Workload
from benchmarks.workloads.archive import ARCHIVE
from benchmarks.workloads.expire import EXPIRE
from benchmarks.workloads.growth import GROWTH
from benchmarks.workloads.http import HTTP_WORKLOADS
from benchmarks.workloads.memory import LONG_MEMORY, MEMORY
from benchmarks.workloads.merchants import REGISTER
from benchmarks.workloads.relay import RELAY
from benchmarks.workloads.servers import SERVERS
from benchmarks.workloads.settle import SETTLE
from benchmarks.workloads.startup import START_UP
from benchmarks.workloads.workers import SIDE_BY_SIDE

WORKLOADS: Sequence[Workload] = (
    *HTTP_WORKLOADS, SETTLE, REGISTER, RELAY, EXPIRE, ARCHIVE, START_UP, GROWTH, MEMORY, LONG_MEMORY,
    SIDE_BY_SIDE, SERVERS,
)  # fmt: skip
ONLY_BY_NAME: Sequence[Workload] = (GROWTH, LONG_MEMORY, SIDE_BY_SIDE, SERVERS)


def wanted(names: Sequence[str]) -> Sequence[Workload]:
    """Those whose letter or name was given; where none was, all but the longest. Raises ValueError for a name nobody
    has."""
    known = {key: each for each in WORKLOADS for key in (each.name, *each.name.split(" ", 1))}
    if unknown := set(names) - known.keys():
        raise ValueError(f"no workload is called {', '.join(sorted(unknown))}; there are {_list()}")
    chosen = [known[name] for name in names]
    return [each for each in WORKLOADS if each in chosen or (not names and each not in ONLY_BY_NAME)]


def _list() -> str:
    return ", ".join(each.name for each in WORKLOADS)
