"""The workloads a merchant's browser waits for: (a) to (d)."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks.figures import at_least
from benchmarks.http_service import Service, first_build, floor, ours
from benchmarks.load import CONNECTIONS, Driven, Job, drive, write_requests
from benchmarks.merchants import add_merchants
from benchmarks.workload import Race

PACKS = ("small", "medium", "large")
SECONDS, QUICK_SECONDS, LONGEST_S = 3.0, 0.25, 60.0
MOST_CREATED_A_SECOND = 4000  # more than any contestant does
REPLAYED_KEYS = 600
STATUS_MERCHANTS, STATUS_PURCHASES = 500, 6
PAGE, PAGE_MERCHANTS, PAGE_PURCHASES = "/api/billing/purchases?limit=50", 200, 60


async def create(service: Service) -> float:
    """(a): every request opens a purchase, for a merchant who has none of that pack."""
    return (await drive_creating(service, _seconds(service))).rate


async def replay(service: Service) -> float:
    """(b): requests that were answered before."""
    if "replay" not in service.prepared:
        merchants = await add_merchants(service.stage, REPLAYED_KEYS // len(PACKS))
        requests = _purchase_requests(service, merchants, "replayed")
        await drive(Job(port=service.port, requests=str(requests), seconds=LONGEST_S, status=201, once=True))
        service.prepared["replay"] = requests
    job = Job(
        port=service.port,
        requests=str(service.prepared["replay"]),
        seconds=_seconds(service),
        status=201,
        head_has="idempotency-replayed: true",
    )
    return (await drive(job)).rate


async def status(service: Service) -> float:
    """(c): the overview of merchants with a trial and a few purchases."""
    await _prepare_reading(service, "/api/billing", STATUS_MERCHANTS, STATUS_PURCHASES)
    return (await drive_reading(service, "/api/billing", _seconds(service))).rate


async def page(service: Service) -> float:
    """(d): the newest 50 purchases of merchants who have more."""
    await _prepare_reading(service, PAGE, PAGE_MERCHANTS, PAGE_PURCHASES)
    return (await drive_reading(service, PAGE, _seconds(service))).rate


async def drive_creating(service: Service, seconds: float, connections: int = CONNECTIONS) -> Driven:
    """This will make merchants, and then have each buy every pack once."""
    merchants = await add_merchants(service.stage, int(MOST_CREATED_A_SECOND * seconds) // len(PACKS))
    requests = _purchase_requests(service, merchants, "created")
    job = Job(
        port=service.port, requests=str(requests), seconds=seconds, status=201, once=True, connections=connections
    )
    return await drive(job)


async def drive_reading(service: Service, target: str, seconds: float) -> Driven:
    """This will ask in turns for what was prepared."""
    return await drive(Job(port=service.port, requests=str(service.prepared[target]), seconds=seconds, status=200))


async def _prepare_reading(service: Service, target: str, merchants: int, purchases: int) -> None:
    if target not in service.prepared:
        known = await add_merchants(service.stage, merchants, purchases=purchases, trials=True)
        path = service.stage.folder / f"read-{len(service.prepared)}"
        service.prepared[target] = write_requests(path, (service.get(target, each) for each in known))
        await service.stage.checkpoint()


def _purchase_requests(service: Service, merchants: Sequence[str], name: str) -> Path:
    wanted = (service.purchase(merchant, pack, uuid4().hex) for pack in PACKS for merchant in merchants)
    return write_requests(service.stage.folder / name, wanted)


def _seconds(service: Service) -> float:
    return QUICK_SECONDS if service.stage.quick else SECONDS


def _race(
    name: str, what: str, act: Callable[[Service], Awaitable[float]], floor_target: float, first: float
) -> Race[Service]:
    return Race(
        name=name,
        what=what,
        unit="requests/s",
        act=act,
        ours=ours,
        floor=floor,
        first_build=first_build,
        floor_target=at_least(floor_target),
        first_build_target=at_least(first),
    )


HTTP_WORKLOADS = (
    _race("a create", "POST /api/billing/purchases on the sandbox, each opens a purchase.", create, 0.70, 3.0),
    _race("b replay", "The same requests again, with the same idempotency keys.", replay, 0.70, 3.0),
    _race("c status", "GET /api/billing of a merchant with a trial and six purchases.", status, 0.65, 2.5),
    _race("d list", "GET /api/billing/purchases, a page of 50 of sixty.", page, 0.65, 2.5),
)
