"""What the network policies let through, computed from them: what the configuration names, and nothing else."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.deploy.conftest import judge
from tests.deploy.manifests import Manifest, Rendered, files, port_of, selects

ROOT = Path(__file__).parents[2]
NAMES = {("kube-system", "k8s-app=kube-dns", "UDP", 53), ("kube-system", "k8s-app=kube-dns", "TCP", 53)}
PUBLIC = ("1.1.1.1", "8.8.8.8", "151.101.1.1", "2606:4700::1111")
PRIVATE = (
    *("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "100.64.0.1", "0.0.0.0"),  # noqa: S104
    *("::1", "fd00::1", "fe80::1"),
)
DEFAULT_PORTS = {"postgresql": 5432, "redis": 6379, "rediss": 6379, "nats": 4222, "tls": 4222}
Rule = tuple[str, str, str, int]


def test_nothing_is_let_through_but_by_a_rule(rendered: Rendered) -> None:
    """Every pod of ours is behind a policy that denies both ways."""
    for name, pod in rendered.pods():
        behind = [each["spec"] for each in _policies(rendered, pod)]

        assert {kind for each in behind for kind in each["policyTypes"]} == {"Ingress", "Egress"}, name
        if (
            name != "billing-upgrade"
        ):  # it has come and gone before the policy that denies, and has a whole one of its own
            denying = [each for each in behind if not {"ingress", "egress"} & each.keys()]
            assert [each["policyTypes"] for each in denying] == [["Ingress", "Egress"]], name


def test_every_server_it_is_told_of_is_let_through_and_no_other(
    rendered: Rendered, secret_texts: Mapping[str, Mapping[str, str]]
) -> None:
    """The hosts and ports in the secrets that its containers have, and the names they are found by."""
    keys = {name: list(texts) for name, texts in secret_texts.items()}
    for name, pod in rendered.pods():
        told = {
            _server(text)
            for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
            for path in files(pod, container, keys).values()
            for secret, _, key in [path.partition("/")]
            if key.endswith("-url") and (text := secret_texts[secret][key])
        }

        assert len(told) >= 2
        assert _inside(rendered, pod) == NAMES | told, name


def test_who_calls_platforms_gets_to_the_world_and_into_no_network(rendered: Rendered) -> None:
    """https alone, to any address that is public; the upgrade to none."""
    for name, pod in rendered.pods():
        blocks = list(_blocks(rendered, pod))
        calls = name != "billing-upgrade"

        assert {port for _, port in blocks} == ({("TCP", 443)} if calls else set())
        assert [_reaches(blocks, ip_address(each)) for each in PUBLIC] == [calls] * len(PUBLIC)
        assert [each for each in PRIVATE if _reaches(blocks, ip_address(each))] == []


def test_who_comes_in_comes_to_a_port_there_is(rendered: Rendered) -> None:
    """The proxy to HTTP, Prometheus to each, nobody to the upgrade."""
    come = {name: set(_incoming(rendered, pod)) for name, pod in rendered.pods()}
    prometheus = ("monitoring", "app.kubernetes.io/name=prometheus", "TCP")

    assert come == {
        "billing-http": {("ingress", "", "TCP", 8000), (*prometheus, 8000)},
        "billing-worker": {(*prometheus, 9100)},
        "billing-upgrade": set(),
    }


def test_promtool_is_content_with_how_prometheus_finds_the_pods(
    promtool: str, rendered: Rendered, tmp_path: Path
) -> None:
    """Debian's knows nothing of Kubernetes, so that part is looked at here and taken out for it."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text("utf-8"))
    (namespace,) = {each["metadata"]["namespace"] for each in rendered.manifests}

    looked = [each.pop("kubernetes_sd_configs") for each in config["scrape_configs"]]
    judged = tmp_path / "prometheus.yml"
    judged.write_text(json.dumps(config))  # JSON is YAML

    assert looked == [[{"role": "pod", "namespaces": {"names": [namespace]}}]] * 2
    judge(promtool, "check", "config", "--syntax-only", str(judged))


def test_prometheus_looks_for_the_labels_and_ports_there_are(rendered: Rendered) -> None:
    """By the jobs that the alerts name."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text("utf-8"))
    wanted = {each["job_name"]: each["relabel_configs"][0]["regex"].split(";") for each in config["scrape_configs"]}
    sources = config["scrape_configs"][0]["relabel_configs"][0]["source_labels"]
    prefix = "__meta_kubernetes_pod_label_"
    labels = [re.sub(r"[^a-z]", "_", each) for each in ("app.kubernetes.io/name", "app.kubernetes.io/component")]

    assert sources == [f"{prefix}{labels[0]}", f"{prefix}{labels[1]}", "__meta_kubernetes_pod_container_port_name"]
    for each in rendered.of("Deployment"):
        pod = each["spec"]["template"]
        name, component, port = wanted[each["metadata"]["name"]]
        assert selects(
            {"matchLabels": {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}},
            pod["metadata"]["labels"],
        )
        assert port_of(pod["spec"]["containers"][0], port) in (8000, 9100)


@pytest.mark.parametrize("name", ["no-such-server.data:5432", "postgres.other:5432", "postgres.data:5433"])
def test_another_address_would_be_missed(rendered: Rendered, name: str) -> None:
    """Another host, namespace or port than the policies have."""
    (_, pod), *_ = rendered.pods()

    assert _server(f"postgresql://someone:secret@{name}/billing") not in _inside(rendered, pod)


def _policies(rendered: Rendered, pod: Manifest) -> Sequence[Manifest]:
    labels = pod["metadata"]["labels"]
    return [each for each in rendered.of("NetworkPolicy") if selects(each["spec"]["podSelector"], labels)]


def _rules(rendered: Rendered, pod: Manifest, way: str, side: str) -> Iterator[tuple[Any, tuple[str, int]]]:
    """Each peer with each port it may use: no rule may leave one of them out, for that means any."""
    for policy in _policies(rendered, pod):
        for rule in policy["spec"].get(way, ()):
            for peer in rule[side]:
                for port in rule["ports"]:
                    if (number := _number(pod, port["port"])) is not None:
                        yield peer, (port["protocol"], number)


def _number(pod: Manifest, port: str | int) -> int | None:
    """A named port that a pod has not is none of its."""
    ports = [each for container in pod["spec"]["containers"] for each in container.get("ports", ())]
    if isinstance(port, int):
        return port
    return next((each["containerPort"] for each in ports if each["name"] == port), None)


def _inside(rendered: Rendered, pod: Manifest) -> set[Rule]:
    rules = _rules(rendered, pod, "egress", "to")
    return {(*_peer(peer), *port) for peer, port in rules if "ipBlock" not in peer}


def _incoming(rendered: Rendered, pod: Manifest) -> Iterator[Rule]:
    for peer, port in _rules(rendered, pod, "ingress", "from"):
        yield (*_peer(peer), *port)


def _blocks(rendered: Rendered, pod: Manifest) -> Iterator[tuple[Any, tuple[str, int]]]:
    rules = _rules(rendered, pod, "egress", "to")
    return ((peer["ipBlock"], port) for peer, port in rules if "ipBlock" in peer)


def _reaches(blocks: Sequence[tuple[Any, Any]], address: Any) -> bool:
    return any(
        address in ip_network(block["cidr"])
        and not any(address in ip_network(each) for each in block.get("except", ()))
        for block, _ in blocks
    )


def _peer(peer: Manifest) -> tuple[str, str]:
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return namespace, ",".join(f"{name}={value}" for name, value in labels.items())


def _server(url: str) -> Rule:
    """Who answers at a URL: the service of a name in a namespace, whose pods have its name."""
    parts = urlsplit(url.strip())
    name, namespace = str(parts.hostname).split(".")[:2]
    return namespace, f"app.kubernetes.io/name={name}", "TCP", parts.port or DEFAULT_PORTS[parts.scheme]
