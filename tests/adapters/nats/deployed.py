"""The deployed NATS, one for each module that asks for it: tests here take permissions away and give them back."""

from collections.abc import Iterator

import pytest
from tests.nats_deployment import NatsDeployment, deployed_nats


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsDeployment]:
    """The server of the module."""
    with deployed_nats(tmp_path_factory.mktemp("deployed")) as running:
        yield running


@pytest.fixture
def nats(running: NatsDeployment) -> Iterator[NatsDeployment]:
    """The server with the accounts that are shipped, also when the test changed them."""
    yield running
    running.permit()
