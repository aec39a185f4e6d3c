"""`python -m benchmarks.jobs NAME …`: runs scheduled jobs of Billing as `billing jobs run` does, on the worker's event
loop, and tells how long that took, in seconds."""

import sys
import time

import uvloop

from billing_adapters.garbage import collect_garbage_seldom
from billing_cli.container import open_container


async def run(names: list[str]) -> None:
    """This will run the jobs, one after the other."""
    async with open_container() as container:
        jobs = {job.name: job for job in container.jobs()}
        await container.database().ping()
        collect_garbage_seldom()
        began = time.perf_counter()
        for name in names:
            await jobs[name].run()
        print(time.perf_counter() - began)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1:]))
