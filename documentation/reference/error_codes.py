"""The codes of refusals, from the tree of errors, the table of problems and the client."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import billing_adapters
import billing_cli
from billing_client.errors import ERRORS
from billing_core.errors import BillingError
from billing_http.problems import TABLE, status_of
from documentation.writing import literal, page, quoted, sentence

_ABOUT = """\
Every refusal has a stable code, generated from the errors themselves. Over HTTP it is the `code` of a problem document
(RFC 9457), in the [Python client](../client.md) a class, and on the command line it stands before the reason on stderr.
Programs branch on it; the sentence beside it is for people and says what to do. Where that sentence is always nearly
the same, it stands here as an example.
"""
# What an error is about in its example, by the name of the parameter.
_SAMPLES: Final[Mapping[str, object]] = {
    "merchant_id": "dev-merchant",
    "status": "expired",
    "actor": "operator-1",
    "cap": 1000,
    "left": 50,
    "granted": 50,
    "until": "2026-11-05T09:30:00Z",
    "what": "Parquet",
    "library": "pyarrow",
    "extra": "parquet",
    "fault": OSError(13, "Permission denied", "purchases.csv"),
    "purchase_ids": [UUID("0199c3a8-6f02-7c31-8d55-3b1f0c9a7e21")],
    "allowed": ["GET", "HEAD"],
    "limit_bytes": 65536,
}
# Importing them starts a process, or needs one of the stand-ins' servers.
_NOT_IMPORTED = ("__main__", "stand_ins", "migrations", "embedded")


def error_codes(root: Path) -> str:
    """This will write the page: every code with its status, what it means, and what to do about it."""
    problems = json.loads((root / "schemas" / "openapi.json").read_text("utf-8"))["components"]["examples"]
    codes = _codes()
    over_http = {code for code, kinds in codes.items() if any(_has_status(kind) for kind in kinds)}
    return page(
        "Error codes",
        _ABOUT,
        "## Over HTTP",
        *(part for code in sorted(over_http) for part in _told_over_http(code, codes[code], problems)),
        "## On the command line, in logs and at the start",
        "These are never the answer to a request of the merchants' API.",
        *(part for code in sorted(codes.keys() - over_http) for part in _told_elsewhere(code, codes[code])),
    )


def _codes() -> Mapping[str, Sequence[type[BillingError]]]:
    """Every error with its code; those that share one by how far from the root they are."""
    _import_all()
    codes: dict[str, list[type[BillingError]]] = {}
    for kind in _below(BillingError):
        codes.setdefault(kind.code, []).append(kind)
    return {code: sorted(kinds, key=lambda kind: (len(kind.__mro__), kind.__name__)) for code, kinds in codes.items()}


def _below(root: type[BillingError]) -> Iterator[type[BillingError]]:
    for kind in root.__subclasses__():
        if kind.code != BillingError.code and kind.__module__.startswith("billing_"):
            yield kind
        yield from _below(kind)


def _import_all() -> None:
    for package in (billing_adapters, billing_cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=_refuse):
            if not any(part in module.name.split(".") for part in _NOT_IMPORTED):
                importlib.import_module(module.name)


def _refuse(name: str) -> None:
    raise ImportError(f"{name} cannot be imported, so its errors would be missing")


def _has_status(kind: type[BillingError]) -> bool:
    return any(each in TABLE for each in kind.__mro__)


def _told_over_http(code: str, kinds: Sequence[type[BillingError]], problems: Mapping[str, Any]) -> Iterator[str]:
    statuses = sorted({status_of(kind) for kind in kinds if _has_status(kind)})
    yield f"### {code}"
    yield f"**{', '.join(map(str, statuses))}** · {_client_class(code)}"
    yield from _meanings(kinds)
    if code in problems:
        yield quoted(problems[code]["value"]["detail"])
    else:
        yield from _examples(kinds)


def _told_elsewhere(code: str, kinds: Sequence[type[BillingError]]) -> Iterator[str]:
    yield f"### {code}"
    yield from _meanings(kinds)
    yield from _examples(kinds)


def _meanings(kinds: Sequence[type[BillingError]]) -> Iterator[str]:
    """What each says that has the code: a list where there are several."""
    if len(kinds) == 1:
        yield sentence(kinds[0].__doc__)
    else:
        yield "\n".join(f"- {literal(kind.__name__)}: {sentence(kind.__doc__)}" for kind in kinds)


def _examples(kinds: Sequence[type[BillingError]]) -> Iterator[str]:
    """What people are told, remedy and all; nothing where each is raised with a sentence of its own."""
    told = [text for kind in kinds if (text := _message(kind))]
    yield from map(quoted, dict.fromkeys(told))


def _message(kind: type[BillingError]) -> str | None:
    """The sentence of an error that makes it itself, of the samples. Raises KeyError for a parameter that has none."""
    if kind.__init__ is BillingError.__init__:
        return None
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    if any(each.name == "detail" and each.default in (None, each.empty) for each in parameters):
        detail = getattr(kind, "detail", None)
        return detail if isinstance(detail, str) else None
    needed = [each for each in parameters if each.default is each.empty]
    given = {each.name: _SAMPLES[each.name] for each in needed if each.kind is not each.VAR_POSITIONAL}
    positional = [value for each in needed if each.kind is each.VAR_POSITIONAL for value in (_SAMPLES[each.name],)]
    return str(kind(*positional, **given))


def _client_class(code: str) -> str:
    return f"in the client {literal(ERRORS[code].__name__)}" if code in ERRORS else "not met through the client"
