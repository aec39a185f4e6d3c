"""`python -m benchmarks.granian_http`: the same app behind granian, the server that uvicorn is compared with."""

import os

from granian import Granian
from granian.constants import Interfaces, Loops
from starlette.applications import Starlette

from billing_adapters.garbage import collect_garbage_seldom
from billing_adapters.logs import configure_logs
from billing_adapters.settings import load_settings
from billing_http.app import create_app


def app() -> Starlette:
    """The app as `billing_http` makes it; granian's process calls this."""
    settings = load_settings()
    configure_logs(settings.log_level, app="http")
    made = create_app(settings)
    collect_garbage_seldom()
    return made


if __name__ == "__main__":
    Granian(
        "benchmarks.granian_http:app",
        factory=True,
        address="127.0.0.1",
        port=int(os.environ["BILLING_PORT"]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=1,
        log_access=False,
        websockets=False,
    ).serve()
