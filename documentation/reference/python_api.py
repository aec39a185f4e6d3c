"""The Python packages, for Sphinx' autodoc: which names stand on which page. Docstrings say the rest."""

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from pydantic import BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One page: a heading, who wants it, and the modules whose public names stand on it."""

    title: str
    about: str
    modules: Sequence[str]


APIS: Final[Mapping[str, Api]] = {
    "billing-client": Api(
        title="billing_client",
        about="The client, sync and async, for whoever calls Billing over HTTP.",
        modules=("billing_client",),
    ),
    "billing-core": Api(
        title="billing_core",
        about="What can be bought, what a trial is, how a purchase lives: values and pure decisions.",
        modules=(
            "billing_core",
            "billing_core.domain.money",
            "billing_core.domain.packs",
            "billing_core.domain.merchants",
            "billing_core.domain.payments",
            "billing_core.domain.purchases",
            "billing_core.domain.reviews",
            "billing_core.domain.trials",
            "billing_core.domain.grants",
            "billing_core.domain.sales",
            "billing_core.domain.idempotency",
            "billing_core.domain.return_urls",
            "billing_core.domain.rate_limits",
            "billing_core.domain.pseudonyms",
            "billing_core.views",
        ),
    ),
    "messages": Api(
        title="billing_core.messages and events",
        about="What is said over NATS, for whoever reads it.",
        modules=("billing_core.messages", "billing_core.domain.events"),
    ),
    "testing": Api(
        title="billing_core.testing",
        about="Billing in memory, events built and judged, and a pytest plugin, for tests of other services.",
        modules=(
            "billing_core.testing",
            "billing_core.testing.plugin",
            "billing_core.testing.scripted_platform",
            "billing_core.use_cases.caller",
            "billing_core.use_cases.inbound",
        ),
    ),
    "ports": Api(
        title="billing_core.ports",
        about="What the use cases need of the world; every promise in a docstring is a contract test.",
        modules=(
            "billing_core.ports.clock",
            "billing_core.ports.storage",
            "billing_core.ports.records",
            "billing_core.ports.reports",
            "billing_core.ports.privacy",
            "billing_core.ports.idempotency",
            "billing_core.ports.rate_limits",
            "billing_core.ports.publishing",
            "billing_core.ports.platforms",
        ),
    ),
    "errors": Api(
        title="billing_core.errors",
        about="Every refusal, as one tree.",
        modules=("billing_core.errors",),
    ),
}


def python_page(api: Api) -> str:
    """This will write a page for autodoc, in reStructuredText."""
    parts = [_heading(api.title, "="), api.about]
    for name in api.modules:
        module = importlib.import_module(name)
        if len(api.modules) > 1:
            parts.append(_heading(name, "-"))
        parts += [_list_of(module), *_descriptions(module)]
    return "\n\n".join(parts) + "\n"


def python_index(root: Path) -> str:
    """This will write the page that leads to them."""
    del root
    rows = "\n".join(f"- [`{api.title}`](python/{name}.rst): {api.about}" for name, api in APIS.items())
    toctree = "\n".join(f"{api.title} <python/{name}>" for name, api in APIS.items())
    head = "# Python\n\nThe public names of the packages other projects install, generated from their docstrings.\n\n"
    return f"{head}{rows}\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"


def _list_of(module: ModuleType) -> str:
    """The names, each leading to what is said of it."""
    return ", ".join(f":py:obj:`{name} <{module.__name__}.{name}>`" for name in _names(module))


def _names(module: ModuleType) -> Sequence[str]:
    return getattr(module, "__all__", None) or _defined_in(module)


def _descriptions(module: ModuleType) -> Iterator[str]:
    for name in _names(module):
        value = getattr(module, name)
        path = f"{module.__name__}.{name}"
        if inspect.isclass(value):
            yield f".. autoclass:: {path}\n   :members:\n{_options(value)}"
        elif inspect.isroutine(value):
            yield f".. autofunction:: {path}"
        else:
            yield f".. autodata:: {path}\n   :no-value:"


def _options(kind: type) -> str:
    if issubclass(kind, BaseModel):  # what pydantic adds is not ours; fields say what they are by name and type
        return "   :undoc-members:\n   :exclude-members: model_config, model_post_init\n"
    own = vars(kind).get("__init__")
    return "   :class-doc-from: both\n" if own is not None and own.__doc__ else ""


def _defined_in(module: ModuleType) -> Sequence[str]:
    """In the order they are written."""
    return [
        name
        for name, value in vars(module).items()
        if name.isidentifier() and not name.startswith("_")  # pydantic puts `Event[Fact]` there
        if getattr(value, "__module__", None) == module.__name__ and not isinstance(value, TypeVar)
        if not any(value is exported for exported in _exported())
    ]


@cache
def _exported() -> Sequence[object]:
    """What packages hand out under their own name is described there, and not where it is at home."""
    packages = (importlib.import_module(name) for api in APIS.values() for name in api.modules)
    return [getattr(package, name) for package in packages for name in getattr(package, "__all__", ())]


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"
