"""compose.yaml: as the specification has it, as the processes are, and with nothing in it that is secret or loose."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for
from tests.deploy import composed
from tests.deploy.composed import ROOT, STACKS, Document, Service
from tests.deploy.settings_named import loose_secrets, unknown_settings
from tests.image.recipe import Recipe

from billing_http.server import DRAIN_S, GRACE_S
from billing_worker.running import GRACE_S as WORKER_GRACE_S

SCHEMA = json.loads(resources("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
JUDGE = validator_for(SCHEMA)(SCHEMA)
PINNED = re.compile(r"[a-z./-]+:[\w.-]*\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
PROCESSES = {"billing-http": "BILLING_PORT", "billing-worker": "BILLING_WORKER_METRICS_PORT"}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Document:
    """The files of one way to start it, as one."""
    return composed.load(*STACKS[request.param])


@pytest.fixture(params=sorted(composed.load(composed.BASE)["services"]))
def service(request: pytest.FixtureRequest) -> Service:
    """One service."""
    found: Service = composed.load(composed.BASE)["services"][request.param]
    return found


@pytest.mark.parametrize("path", [composed.BASE, composed.OVERRIDE, composed.STRIPE], ids=lambda path: path.name)
def test_it_is_as_the_specification_has_it(path: Path) -> None:
    """Every file by itself; a name that the specification does not know is refused."""
    faults = [error.message for error in JUDGE.iter_errors(_read(path))]

    assert faults == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda services: services["billing-http"].update(read_onyl=True),
        lambda services: services["redis"]["healthcheck"].update(intervall="1s"),
        lambda services: services["nats"]["depends_on"]["nats-volume"].update(condition="service_done"),
        lambda services: services["postgres"].update(secrets={"postgres-password": None}),
    ],
)
def test_the_schema_would_notice(spoil: Any) -> None:
    """Names and values that are none."""
    document = composed.load(composed.BASE)
    spoil(document["services"])

    assert not JUDGE.is_valid(document)


class TestEveryService:
    def test_it_may_do_nothing_it_need_not(self, service: Service) -> None:
        """Nothing to write to, no right and no way to get one, a bound for everything. Only the volume's owner is set
        by root, who may do that alone."""
        sets_owner = service.get("entrypoint", [""])[0] == "chown"

        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] <= 256
        assert service.get("cap_add") == (["CHOWN"] if sets_owner else None)
        assert ("mem_limit" in service) is not sets_owner
        assert not {"privileged", "devices", "pid", "ipc"} & service.keys()
        assert (service.get("network_mode") == "none") is sets_owner

    def test_nobody_is_root(self, service: Service) -> None:
        """Ours runs as the image says; the others as a number that is told."""
        if "build" in service:
            assert "user" not in service
        elif service.get("entrypoint", [""])[0] != "chown":
            assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])

    def test_its_image_is_pinned(self, service: Service) -> None:
        """By digest, or built from what is here."""
        if "build" in service:
            assert (ROOT / service["build"]["context"] / "Dockerfile").is_file()
        else:
            assert PINNED.fullmatch(service["image"])

    def test_its_ports_are_this_machines_alone(self, service: Service) -> None:
        """TLS, and who may come, is a proxy's to say."""
        assert [each for each in service.get("ports", ()) if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", each)] == []
        assert not service.get("ports") or "outside" in service["networks"]

    def test_it_is_started_again_looked_after_and_given_time(self, service: Service) -> None:
        """Or runs once, to its end."""
        if service["restart"] == "no":
            assert "stop_grace_period" not in service
        else:
            assert service["restart"] == "unless-stopped"
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
            assert composed.seconds(service["healthcheck"]["timeout"]) <= 3
            assert composed.seconds(service["stop_grace_period"]) >= 10

    def test_what_it_mounts_is_there(self, service: Service) -> None:
        """Files of the project, which it cannot change, or a volume that is kept."""
        kept = composed.load(composed.BASE)["volumes"]
        for source, _, how in composed.volumes(service):
            assert (source in kept and how == "rw") or ((ROOT / source).exists() and how == "ro"), source

    def test_what_it_waits_for_comes_about(self, service: Service) -> None:
        """An end of what ends, health of what is asked, and nothing that may be left out."""
        services = composed.load(composed.BASE)["services"]
        for name, each in service.get("depends_on", {}).items():
            ends = services[name]["restart"] == "no"
            assert each["condition"] == ("service_completed_successfully" if ends else "service_healthy")
            assert services[name].get("profiles") == service.get("profiles", services[name].get("profiles"))


class TestOurs:
    def test_every_variable_is_a_setting(self, stack: Document) -> None:
        """And is one that the process reads."""
        named = {name for each in composed.ours(stack).values() for name in each["environment"]}

        assert len(named) > 10
        assert unknown_settings(named) == []

    def test_no_secret_stands_in_it(self, stack: Document) -> None:
        """Neither as the value of a secret setting, nor as a login in any other."""
        for each in stack["services"].values():
            assert loose_secrets(each.get("environment", {})) == []

    def test_every_secret_is_granted_and_every_one_granted_is_read(self, stack: Document) -> None:
        """A process has the files its variables name, and no other process's."""
        for name, each in composed.ours(stack).items():
            named = {value for variable, value in each["environment"].items() if variable.endswith("_FILE")}
            replaced = {"/run/secrets/nats-url-http"}  # in development, by another

            assert named <= composed.files(each).keys(), name
            assert composed.files(each).keys() - named <= replaced, name

    def test_every_secret_is_declared_and_used(self, stack: Document) -> None:
        """Each is a file of its name, in the one directory."""
        used = {source for each in stack["services"].values() for source in composed.files(each).values()}
        declared: Mapping[str, Mapping[str, str]] = stack["secrets"]

        assert used <= declared.keys()
        assert declared.keys() - used <= {"nats-url-others"}  # the services around Billing use it
        assert {name: each["file"] for name, each in declared.items()} == {
            name: f"./secrets/{name}" for name in declared
        }

    @pytest.mark.parametrize("name", PROCESSES)
    def test_its_port_is_the_one_that_is_asked_published_and_scraped(self, stack: Document, name: str) -> None:
        """The image's, for HTTP."""
        service = stack["services"][name]
        port = int(service["environment"][PROCESSES[name]])
        prometheus = _read(ROOT / "deploy/prometheus/prometheus.yml")
        targets = [each for job in prometheus["scrape_configs"] for each in job["static_configs"][0]["targets"]]

        assert asked(service["healthcheck"]["test"]) == ("127.0.0.1", port, "/health/ready")
        assert f"{name}:{port}" in targets
        assert service["environment"]["BILLING_HOST"] == "0.0.0.0"  # noqa: S104 - within its container
        if name == "billing-http":
            assert Recipe().values("EXPOSE") == [str(port)]
            assert service["ports"] == [f"127.0.0.1:8000:{port}"]
            assert service["command"] == Recipe().command()

    def test_there_is_time_to_stop(self, stack: Document) -> None:
        """More than the process takes at the longest."""
        longest = {"billing-http": DRAIN_S["production"] + GRACE_S, "billing-worker": WORKER_GRACE_S}

        for name, taken_s in longest.items():
            assert composed.seconds(stack["services"][name]["stop_grace_period"]) >= taken_s + 5

    def test_schema_roles_and_streams_come_before_the_processes(self, stack: Document) -> None:
        """In this order, each once."""
        assert composed.once(stack) == ["billing-streams", "billing-upgrade", "billing-roles"]
        for name in PROCESSES:
            assert {*composed.once(stack)} <= stack["services"][name]["depends_on"].keys()

    def test_every_step_is_waited_for_by_what_stays(self, stack: Document) -> None:
        """`up --wait` takes the end of a container for a failure, unless one that stays depends on it."""
        steps = {name for name, each in stack["services"].items() if each["restart"] == "no" and "profiles" not in each}
        stay = [each for each in stack["services"].values() if each["restart"] != "no"]

        assert steps == {name for each in stay for name in each.get("depends_on", ()) if name in steps}

    def test_only_what_calls_platforms_can_get_out(self, stack: Document) -> None:
        """The servers are reached from within alone."""
        out = {name for name, each in stack["services"].items() if "outside" in each.get("networks", ())}

        assert stack["networks"]["inside"]["internal"] is True
        assert out == {"billing-http", "billing-worker", "prometheus", "grafana"}

    def test_development_is_not_what_production_is_given(self) -> None:
        """What is for trying stands in the file that is not read there."""
        for service in composed.ours(composed.load(*STACKS["production"])).values():
            assert service["environment"]["BILLING_ENV"] == "production"
            assert not {"BILLING_DEVELOPMENT_PAGE", "BILLING_DOCS"} & service["environment"].keys()
            assert "nats-url-others" not in composed.files(service).values()


class TestMonitoring:
    def test_prometheus_reads_the_alerts_and_the_token(self) -> None:
        """Where its configuration says they are."""
        service = composed.load(composed.BASE)["services"]["prometheus"]
        mounted = {target: source for source, target, _ in composed.volumes(service)}
        config = _read(ROOT / mounted["/etc/prometheus/prometheus.yml"])

        assert "--config.file=/etc/prometheus/prometheus.yml" in service["command"]
        assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} <= mounted.keys()
        assert config["scrape_configs"][0]["authorization"]["credentials_file"] in composed.files(service)

    def test_grafana_finds_prometheus_and_the_dashboards(self) -> None:
        """As files, so that nobody imports anything by hand."""
        stack = composed.load(composed.BASE)
        mounted = {target: ROOT / source for source, target, _ in composed.volumes(stack["services"]["grafana"])}
        provisioning = "/etc/grafana/provisioning"

        (source,) = _read(mounted[f"{provisioning}/datasources/billing.yml"])["datasources"]
        (provider,) = _read(mounted[f"{provisioning}/dashboards/billing.yml"])["providers"]
        assert source["url"] == "http://prometheus:9090"
        assert "outside" in stack["services"]["prometheus"]["networks"]
        assert sorted(mounted[provider["options"]["path"]].glob("*.json"))


def asked(test: Sequence[str]) -> tuple[str, int, str]:
    """Whom a health check of ours asks, and what; it must say yes to 200 alone."""
    assert test[:3] == ["CMD", "python", "-c"]
    calls = [node for node in ast.walk(ast.parse(test[3])) if isinstance(node, ast.Call)]
    connection = next(node for node in calls if ast.unparse(node.func) == "http.client.HTTPConnection")
    request = next(node for node in calls if ast.unparse(node.func) == "c.request")
    host, port = (ast.literal_eval(each) for each in connection.args)
    method, path = (ast.literal_eval(each) for each in request.args)
    assert method == "GET"
    assert test[3].endswith("sys.exit(c.getresponse().status != 200)")
    return host, port, path


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))
