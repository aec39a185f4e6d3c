"""(l) The memory of a worker that settles and settles."""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.figures import Figure, at_most
from benchmarks.pipeline import works
from benchmarks.stage import Stage
from benchmarks.stock import paid_purchases
from benchmarks.webhooks import notices, tell, with_repeats
from benchmarks.workload import Bench, Recording
from benchmarks.workloads.settle import REPEATED
from billing_core.messages import PURCHASE_UPDATED

PART, FEW = 50_000, 1_000
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Growth:
    """How much the worker's resident memory grew after the first part of so many webhooks."""

    parts: int

    async def __call__(self, bench: Bench, stage: Stage) -> Sequence[Figure]:
        """This will settle part after part with one worker."""
        part, parts = (FEW, 2) if bench.quick else (PART, self.parts)
        async with works(stage) as its, stage.running("billing_worker", its.environment) as worker:
            process, held, purchases = psutil.Process(worker.pid), [], 0
            for number in range(parts):
                bench.tell(f"webhooks {number * part:,} to {(number + 1) * part:,}")
                wanted = round(part * (1 - REPEATED))
                payments = await paid_purchases(its.database, number * part, wanted)
                await tell(its.nats.client, PURCHASE_UPDATED, with_repeats(list(notices(payments)), REPEATED))
                purchases += wanted
                await its.last_event_at(worker, purchases)
                held.append(process.memory_info().rss / MIB)
        return [
            Figure(name=f"after {part:,} webhooks", values=(held[0],), unit="MiB"),
            Figure(name=f"after {parts * part:,} webhooks", values=(held[-1],), unit="MiB"),
            Figure(name="growth after the first part", values=(max(held) - held[0],), unit="MiB", target=at_most(5)),
        ]


MEMORY = Recording(
    name="l memory", what="resident memory of the worker over three times 50,000 webhooks", record=Growth(3)
)
LONG_MEMORY = Recording(
    name="l500 memory", what="resident memory of the worker over 500,000 webhooks; only by name", record=Growth(10)
)
