"""Our app behind uvicorn next to the same app behind granian, at the workloads (a) to (d)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure, ratio
from benchmarks.http_service import Service, ours, serving
from benchmarks.stage import Stage
from benchmarks.workload import OURS, Bench
from benchmarks.workloads.http import create, page, replay, status

GRANIAN: Final = "granian"
ACTS: Final[Mapping[str, Callable[[Service], Awaitable[float]]]] = {
    "create": create, "replay": replay, "status": status, "list": page
}  # fmt: skip


@asynccontextmanager
async def _granian(stage: Stage) -> AsyncIterator[Service]:
    async with serving(stage, "benchmarks.granian_http") as service:
        yield service


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Each act behind each server, in turns."""

    name: str
    what: str

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """See `Workload.measure`."""
        opened = await bench.opened({OURS: ours, GRANIAN: _granian})
        figures = []
        for act, do in ACTS.items():
            rates: dict[str, list[float]] = {name: [] for name in opened}
            for repeat in bench.rounds:
                for name, (service, stage) in opened.items():
                    bench.tell(f"{act}, {name}, {repeat or 'warming up'}")
                    await stage.checkpoint()
                    rate = await do(service)
                    if repeat:
                        rates[name].append(rate)
            figures.append(ratio(f"{act}: uvicorn ÷ granian", rates[OURS], rates[GRANIAN]))
        return figures


SERVERS = Servers(name="servers", what="the app behind uvicorn next to the same behind granian")
