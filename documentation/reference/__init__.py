"""The generated reference: each page is made from the code, when the site is built, by one function."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from documentation.reference.command_line import command_line
from documentation.reference.error_codes import error_codes
from documentation.reference.events import events
from documentation.reference.http_api import http_api
from documentation.reference.lives import lives
from documentation.reference.metrics import metrics
from documentation.reference.python_api import APIS, Api, python_index, python_page
from documentation.reference.settings import settings


def _python(api: Api, root: Path) -> str:
    del root
    return python_page(api)


# Where a page stands, and what writes it from the repository at a path.
PAGES: Final[Mapping[str, Callable[[Path], str]]] = {
    "docs/reference/http-api.md": http_api,
    "docs/reference/events.md": events,
    "docs/reference/command-line.md": command_line,
    "docs/reference/settings.md": settings,
    "docs/reference/error-codes.md": error_codes,
    "docs/reference/metrics.md": metrics,
    "docs/reference/lives.md": lives,
    "docs/reference/python.md": python_index,
    **{f"docs/reference/python/{name}.rst": partial(_python, api) for name, api in APIS.items()},
}

# What a page is made from. Pages are not kept in the repository, so documents link to their source; in the site such a
# link leads to the page.
SHOWN_AS: Final[Mapping[str, str]] = {
    "schemas/openapi.json": "docs/reference/http-api",
    "schemas/asyncapi.json": "docs/reference/events",
    "schemas/events": "docs/reference/events",
    "schemas/consumed": "docs/reference/events",
    "apps/cli/src/billing_cli/main.py": "docs/reference/command-line",
    ".env.example": "docs/reference/settings",
    "packages/billing-adapters/src/billing_adapters/settings.py": "docs/reference/settings",
    "packages/billing-core/src/billing_core/errors.py": "docs/reference/error-codes",
    "apps/worker/src/billing_worker/metrics.py": "docs/reference/metrics",
    "apps/http/src/billing_http/metrics.py": "docs/reference/metrics",
    "packages/billing-core/src/billing_core/domain/purchases.py": "docs/reference/lives",
    "packages/billing-core/src/billing_core/domain/trials.py": "docs/reference/lives",
    "packages": "docs/reference/python",
}
