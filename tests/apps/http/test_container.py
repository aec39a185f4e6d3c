"""The container builds everything the handlers need, from settings and resources that are not even there."""

import pytest
from dependency_injector.errors import Error
from tests.apps.http.door import some_settings

from billing_adapters.resources import open_resources
from billing_adapters.settings import Settings
from billing_http.container import Container
from billing_http.metrics import HttpMetrics
from billing_http.state import Billing


def away() -> Settings:
    """A configuration of servers that are not there."""
    return some_settings(
        platforms=("sandbox",),
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        nats_url="nats://127.0.0.1:1",
    )


async def test_every_provider_builds() -> None:
    """A misspelt name in the container passes the type checker; building every provider finds it."""
    settings = away()
    async with open_resources(settings, app="test") as resources:
        container = Container(settings=settings, resources=resources, calls=HttpMetrics().process)
        container.check_dependencies()

        built = {name: provider() for name, provider in container.providers.items()}
        billing = container.billing()

    assert built["settings"] is settings
    assert billing.keys() == Billing.__required_keys__ | Billing.__optional_keys__
    assert billing["spans"] is None
    assert billing["create_purchase"] is built["create_purchase"]
    assert billing["probes"].keys() == {"postgres", "redis", "nats"}


def test_a_container_without_resources_says_so() -> None:
    """What is not handed in is missed at once, by name."""
    with pytest.raises(Error, match="resources"):
        Container(settings=away()).check_dependencies()
