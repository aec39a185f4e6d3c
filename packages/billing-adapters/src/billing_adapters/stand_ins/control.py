"""The control API of a stand-in run by hand: what the payer, the platform and misfortune do, over HTTP.

`POST /_control/{verb}` with the verb's arguments as a JSON object (`reference` names the checkout), `POST
/_control/faults` with `fault`, `operation` and `times`, `GET /_control` for everything the stand-in holds.
"""

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from billing_adapters.stand_ins.faults import Fault, Faults

# What somebody's hand may do: whichever of these methods the stand-in has.
_SHOPIFY = ("approve", "decline", "expire", "refund", "notice", "revoke_tokens")
_STRIPE = ("pay", "process", "succeed", "fail", "expire", "refund", "fail_refund", "dispute", "event")
VERBS = frozenset((*_SHOPIFY, *_STRIPE))
_HOLDINGS = ("charges", "sessions", "calls")


class Controllable(Protocol):
    """A stand-in: it has faults, calls, and some of the verbs."""

    faults: Faults

    @property
    def calls(self) -> Sequence[Any]:
        """The calls it was sent, in order."""
        ...


def control_routes(stand_in: Controllable) -> list[web.RouteDef]:
    """The routes that control `stand_in`, to be added to its app."""
    return [
        web.get("/_control", partial(_tell, stand_in)),
        web.post("/_control/faults", partial(_plan, stand_in)),
        web.post("/_control/{verb}", partial(_act, stand_in)),
    ]


async def _tell(stand_in: Controllable, request: web.Request) -> web.Response:
    return _json({name: getattr(stand_in, name) for name in _HOLDINGS if hasattr(stand_in, name)})


async def _plan(stand_in: Controllable, request: web.Request) -> web.Response:
    asked = await _asked(request)
    try:
        fault, operation, times = Fault(asked["fault"]), str(asked["operation"]), int(asked.get("times", 1))
    except (KeyError, ValueError, TypeError) as wrong:
        return _refusal(400, f"{wrong!r}; fault is one of {', '.join(Fault)}; operation is missing or times no number")
    stand_in.faults.plan(fault, operation, times=times)
    return _json({"fault": fault, "operation": operation, "times": times})


async def _act(stand_in: Controllable, request: web.Request) -> web.Response:
    asked, verb = await _asked(request), request.match_info["verb"]
    act = getattr(stand_in, verb, None) if verb in VERBS else None
    if act is None:
        return _refusal(404, f"this stand-in cannot {verb}; it can {', '.join(_verbs_of(stand_in))}")
    references = [asked.pop("reference")] if "reference" in asked else []
    try:
        call = inspect.signature(act).bind(*references, **asked)
    except TypeError as wrong:
        return _refusal(400, f"{verb}: {wrong}")
    try:
        return _json(act(*call.args, **call.kwargs))
    except KeyError as unknown:
        return _refusal(404, f"unknown reference {unknown}")
    except ValueError as wrong:
        return _refusal(409, str(wrong))


def _verbs_of(stand_in: Controllable) -> list[str]:
    return sorted(verb for verb in VERBS if hasattr(stand_in, verb))


async def _asked(request: web.Request) -> dict[str, Any]:
    """The arguments: a JSON object, or nothing for none. Raises HTTPBadRequest."""
    try:
        asked = json.loads(await request.text() or "{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return asked


def _refusal(status: int, error: str) -> web.Response:
    return _json({"error": error}, status=status)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.json_response(text=json.dumps(value, default=_plain, indent=1) + "\n", status=status)


def _plain(value: object) -> object:
    """What json cannot write by itself, as what it can."""
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else str(value)
