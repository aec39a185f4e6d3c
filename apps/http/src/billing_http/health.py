"""Health: alive while the process runs, ready while Postgres is there and the process is not about to stop."""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_adapters.logs import get_logger
from billing_http.state import Probe, State

CHECK_TIMEOUT_S = 1.0
VERSION = version("billing-http")  # read once: it is a search through files

UpOrDown = Literal["up", "down"]


class Checks(BaseModel):
    """Which servers answer."""

    postgres: UpOrDown
    redis: UpOrDown
    nats: UpOrDown


class Health(BaseModel):
    """`degraded` answers every request: without Redis more slowly, without NATS with its events sent later."""

    status: Literal["ok", "degraded", "unavailable", "draining"]
    version: str
    checks: Checks


class Alive(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"
    version: str


def health_routes() -> Sequence[Route]:
    """The routes an orchestrator asks, without a token."""
    return [Route("/health", ready), Route("/health/ready", ready), Route("/health/live", alive)]


async def alive(request: Request[State]) -> Response:
    """This will answer while the process can answer at all; no server is asked."""
    return Response(Alive(version=VERSION).model_dump_json(), media_type="application/json")


async def ready(request: Request[State]) -> Response:
    """This will ask every server at once, each for at most a second: 200, or 503 where requests should go elsewhere."""
    probes = request.state["probes"]
    answers = await asyncio.gather(*(_is_up(name, probe) for name, probe in probes.items()))
    checks = Checks.model_validate({name: "up" if up else "down" for name, up in zip(probes, answers, strict=True)})
    status: Literal["ok", "degraded", "unavailable", "draining"] = "ok" if all(answers) else "degraded"
    if checks.postgres == "down":
        status = "unavailable"
    elif request.state["drain"].begun:
        status = "draining"
    health = Health(status=status, version=VERSION, checks=checks)
    code = 200 if status in ("ok", "degraded") else 503
    headers = {} if code == 200 else {"Retry-After": "2"}
    return Response(health.model_dump_json(), code, headers=headers, media_type="application/json")


async def _is_up(name: str, probe: Probe) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await probe() is not False
    except Exception as wrong:  # noqa: BLE001 - whatever a client raises, its server does not answer: that is the report
        get_logger("health").warning("check_failed", check=name, reason=type(wrong).__name__)
        return False
