"""What deploy/kubernetes says, run: each container of the upgrade in its order, then both processes, with the variables
of their ConfigMaps and the files of their Secrets, until every probe succeeds and a merchant is served."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import httpx2
import pytest
from tests.deploy.manifests import EXAMPLE, UPGRADE, Manifest, port_of, render
from tests.deploy.merchants import Merchant, make_streams_of_others
from tests.deploy.page import commands
from tests.deploy.stacks import running_servers, wait_until
from tests.deploy.workloads import Machine

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture(scope="module")
def cluster(
    kubectl: str,
    secret_texts: Mapping[str, Mapping[str, str]],
    made_secrets: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Machine, Merchant]]:
    """The upgrade done and the processes running, in the order of docs/deployment.md, where the services around Billing
    are already."""
    texts = {f"{secret}/{key}": text for secret, each in secret_texts.items() for key, text in each.items()}
    keys: Mapping[str, Sequence[str]] = {secret: list(each) for secret, each in secret_texts.items()}
    example = render(kubectl, EXAMPLE)
    with ExitStack() as running:
        folder = tmp_path_factory.mktemp("cluster")
        (there,) = [each.variables for each in commands("deploy/compose/make-secrets") if each.variables]
        machine = running.enter_context(running_servers(folder, {**made_secrets, **texts}, there))
        make_streams_of_others(machine)
        for workload in render(kubectl, UPGRADE).workloads(keys):
            done = machine.run(workload)
            assert done.returncode == 0, f"{workload.name}: {done.stdout}{done.stderr}"
        for workload in example.workloads(keys):
            running.enter_context(machine.started(workload))
        for name, _, container in example.containers():
            _succeeds(machine, name, container, "startupProbe")
        environment = next(each.environment for each in example.workloads(keys) if each.name == "billing-http/http")
        merchant = Merchant(
            f"http://127.0.0.1:{machine.port(8000)}",
            platform="stripe",
            secret=made_secrets["jwt-secret"],
            environment=environment,
        )
        running.enter_context(merchant.http)
        yield machine, merchant


def test_every_probe_succeeds(cluster: tuple[Machine, Merchant], kubectl: str) -> None:
    """As the kubelet asks: the path and port that stand there."""
    machine, _ = cluster
    for name, _, container in render(kubectl, EXAMPLE).containers():
        for probe in PROBES:
            _succeeds(machine, name, container, probe)


def test_a_probe_of_another_path_fails(cluster: tuple[Machine, Merchant], kubectl: str) -> None:
    """Both processes answer what there is, and nothing else."""
    machine, _ = cluster
    for _, _, container in render(kubectl, EXAMPLE).containers():
        get = {**container["readinessProbe"]["httpGet"], "path": "/healthz"}
        assert _asked(machine, container, get) == 404


def test_a_merchant_is_served(cluster: tuple[Machine, Merchant]) -> None:
    """It is announced, and starts its trial."""
    machine, merchant = cluster

    merchant.arrives(machine)

    merchant.starts_its_trial()


def _succeeds(machine: Machine, name: str, container: Manifest, probe: str) -> None:
    get = container[probe]["httpGet"]
    wait_until(lambda: _asked(machine, container, get) == 200, f"{probe} of {name}; see {machine.log(name)}")


def _asked(machine: Machine, container: Manifest, get: Manifest) -> int:
    try:
        return httpx2.get(f"http://127.0.0.1:{machine.port(port_of(container, get['port']))}{get['path']}").status_code
    except httpx2.TransportError:  # not yet
        return 0
