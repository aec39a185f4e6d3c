"""The container builds everything a worker runs, from resources that are not even there."""

import pytest
from tests.apps.http.door import some_settings

from billing_adapters.resources import open_resources
from billing_adapters.settings import Settings
from billing_worker.container import build_container
from billing_worker.metrics import WorkerMetrics


def away(**more: object) -> Settings:
    """A configuration of servers that are not there."""
    return some_settings(
        platforms=("sandbox",),
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        nats_url="nats://127.0.0.1:1",
        **more,
    )


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:1"])
async def test_every_provider_builds(endpoint: str | None) -> None:
    """A misspelt name in the container passes the type checker; building every provider finds it, traced or not."""
    settings = away(otel_endpoint=endpoint)
    async with open_resources(settings, app="test", traced=True) as resources:
        container = build_container(resources=resources, price_book=settings.load_price_book(), metrics=WorkerMetrics())
        container.check_dependencies()

        built = {name: provider() for name, provider in container.providers.items()}

    assert (resources.tracing is None) == (endpoint is None)
    assert built["loops"] == [built[each] for each in ("merchants", "purchases", "relaying", "scheduling", "measuring")]
