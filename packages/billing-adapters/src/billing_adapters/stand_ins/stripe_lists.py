"""Stripe's lists and expansions: pages with a cursor, and ids replaced by what they name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from billing_adapters.stand_ins.stripe_answers import Refusal, missing
from billing_adapters.stand_ins.stripe_objects import Body

DEFAULT_LIMIT = 10
_HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def page(objects: Iterable[Body], params: Mapping[str, Any], *, url: str) -> Body:
    """One page of a list. `objects` stand in its order; every parameter but those of paging is a filter by a field.

    Raises Refusal where `starting_after` names none of them.
    """
    filters = {name: value for name, value in params.items() if name not in {"limit", "starting_after", "expand"}}
    wanted = [body for body in objects if all(_is(body[name], value) for name, value in filters.items())]
    rest = _after(wanted, params.get("starting_after"))
    limit = params.get("limit", DEFAULT_LIMIT)
    return {"object": "list", "data": rest[:limit], "has_more": len(rest) > limit, "url": url}


def expand(body: Body, paths: Sequence[str], objects: Iterable[Body]) -> None:
    """This will put objects in the places of their ids, in `body` itself. Raises Refusal where a path leads to none."""
    found = {one["id"]: one for one in objects} if paths else {}
    for path in paths:
        _expand(body, path.split("."), path, found)


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(_HOLDS[bound](value, limit) for bound, limit in wanted.items())
    return bool(value == wanted)


def _after(bodies: list[Body], cursor: str | None) -> list[Body]:
    if cursor is None:
        return bodies
    for position, body in enumerate(bodies):
        if body["id"] == cursor:
            return bodies[position + 1 :]
    raise missing("object", cursor, param="starting_after")


def _expand(body: Body, path: list[str], told: str, found: Mapping[str, Body]) -> None:
    name, *rest = path
    value = body.get(name)
    if isinstance(value, str) and value in found:
        value = body[name] = dict(found[value])
    if not isinstance(value, dict | list) and not (value is None and name in body):
        raise Refusal(f"This property cannot be expanded ({told}).", param="expand", began=True)
    for inner in value if isinstance(value, list) else [value]:
        if rest and inner is not None:
            _expand(inner, rest, told, found)
