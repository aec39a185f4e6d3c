"""deploy/kubernetes, rendered: as Kubernetes has it, as the processes are, and what it promises of them."""

import copy
from collections.abc import Sequence
from typing import Any

import kubernetes_validate
import pytest
from tests.deploy.manifests import EXAMPLE, UPGRADE, Manifest, Rendered, files, port_of, render, selects
from tests.deploy.settings_named import loose_secrets, unknown_settings
from tests.image.recipe import Recipe

from billing_adapters.settings import Settings
from billing_http.server import DRAIN_S, GRACE_S
from billing_worker.running import GRACE_S as WORKER_GRACE_S

# The oldest that the page names, and the newest that there are schemas of.
VERSIONS = ("1.29", kubernetes_validate.latest_version())
LONGEST_S = {"billing-http": DRAIN_S["production"] + GRACE_S, "billing-worker": WORKER_GRACE_S}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_as_kubernetes_has_it(rendered: Rendered, version: str) -> None:
    """Every field, of the oldest version that is promised and of the newest; an unknown one is refused."""
    assert len(rendered.manifests) > 15
    for manifest in rendered.manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec["template"]["spec"].update(terminationGracePeriodSecond=30),
        lambda spec: spec["template"]["spec"]["containers"][0]["livenessProbe"].update(periodSeconds="10s"),
        lambda spec: spec.pop("selector"),
        lambda spec: spec["template"]["spec"]["containers"][0]["securityContext"].update(readonlyRootFilesystem=True),
    ],
)
def test_the_schema_would_notice(rendered: Rendered, spoil: Any) -> None:
    """Names and values that are none."""
    manifest = copy.deepcopy(rendered.named("Deployment", "billing-http"))
    spoil(manifest["spec"])

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


class TestContainers:
    def test_they_keep_to_the_profile_restricted(self, rendered: Rendered) -> None:
        """And to what docs/operations.md says of the image, as the number that the image runs as."""
        user, group = map(int, Recipe().values("USER")[0].split(":"))
        for _, pod, container in rendered.containers():
            assert pod["spec"]["automountServiceAccountToken"] is False
            assert pod["spec"]["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": user,
                "runAsGroup": group,
                "fsGroup": group,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys()

    def test_they_run_one_image_that_does_not_change(self, rendered: Rendered) -> None:
        """The example's own, the same for every step and process, and never the newest there is."""
        (image,) = {container["image"] for _, _, container in rendered.containers()}

        assert image.startswith("registry.example/billing:")
        assert not image.endswith(":latest")

    def test_they_say_what_they_need(self, rendered: Rendered) -> None:
        """A share of a CPU and no limit of it; a limit of memory."""
        for name, _, container in rendered.containers():
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert container["resources"]["limits"].keys() == {"memory"}, name

    def test_every_variable_is_a_setting_and_none_a_secret(self, rendered: Rendered) -> None:
        """Files are named, no value; and a Secret is nowhere in what is applied."""
        for name, _, container in rendered.containers():
            environment = rendered.environment(container)
            assert unknown_settings(environment) == [], name
            assert loose_secrets(environment) == [], name
        assert rendered.of("Secret") == []

    def test_every_file_is_where_the_variables_say(
        self, rendered: Rendered, secret_keys: dict[str, Sequence[str]]
    ) -> None:
        """In a Secret that docs/deployment.md makes, which has nothing else in it."""
        for name, pod, container in rendered.containers():
            named = {value for key, value in rendered.environment(container).items() if key.endswith("_FILE")}
            assert named == files(pod, container, secret_keys).keys(), name


class TestProcesses:
    @pytest.mark.parametrize(
        ("name", "variable"), [("billing-http", "BILLING_PORT"), ("billing-worker", "BILLING_WORKER_METRICS_PORT")]
    )
    def test_it_is_asked_where_it_listens(self, rendered: Rendered, name: str, variable: str) -> None:
        """Liveness, which asks nobody, decides of a restart; readiness of requests; the start has a minute."""
        (container,) = rendered.named("Deployment", name)["spec"]["template"]["spec"]["containers"]
        environment = rendered.environment(container)
        probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}

        assert environment["BILLING_HOST"] == "0.0.0.0"  # noqa: S104 - within its pod
        for probe in probes.values():
            assert port_of(container, probe["httpGet"]["port"]) == int(environment[variable])
        assert {kind: probe["httpGet"]["path"] for kind, probe in probes.items()} == {
            "startup": "/health/live",
            "liveness": "/health/live",
            "readiness": "/health/ready",
        }
        assert probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"] == 60

    @pytest.mark.parametrize("name", LONGEST_S)
    def test_there_is_time_to_stop(self, rendered: Rendered, name: str) -> None:
        """More than the process takes at the longest, and readiness is told before HTTP takes no more connections."""
        spec = rendered.named("Deployment", name)["spec"]["template"]["spec"]

        assert spec["terminationGracePeriodSeconds"] >= LONGEST_S[name] + 5
        assert "lifecycle" not in spec["containers"][0]
        if name == "billing-http":
            probe = spec["containers"][0]["readinessProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] < DRAIN_S["production"]

    def test_each_selector_selects_its_own_pods(self, rendered: Rendered) -> None:
        """And no other's: of deployments, their spreads, budgets and services."""
        labels = {name: pod["metadata"]["labels"] for name, pod in rendered.pods()}

        def selected(selector: Manifest) -> list[str]:
            return [name for name, each in labels.items() if selects(selector, each)]

        for name in LONGEST_S:
            spec = rendered.named("Deployment", name)["spec"]
            assert selected(spec["selector"]) == [name]
            assert selected(rendered.named("PodDisruptionBudget", name)["spec"]["selector"]) == [name]
            spreads = spec["template"]["spec"]["topologySpreadConstraints"]
            assert [selected(each["labelSelector"]) for each in spreads] == [[name], [name]]
        (service,) = rendered.of("Service")
        assert selected({"matchLabels": service["spec"]["selector"]}) == ["billing-http"]
        (container,) = rendered.named("Deployment", "billing-http")["spec"]["template"]["spec"]["containers"]
        assert port_of(container, service["spec"]["ports"][0]["targetPort"]) == 8000

    def test_a_disruption_leaves_one(self, rendered: Rendered) -> None:
        """There are always two of each, and one may go at a time."""
        (scaler,) = rendered.of("HorizontalPodAutoscaler")
        target = scaler["spec"]["scaleTargetRef"]
        worker = rendered.named("Deployment", "billing-worker")["spec"]

        assert "replicas" not in rendered.named(target["kind"], target["name"])["spec"]
        assert target["name"] == "billing-http"
        assert min(scaler["spec"]["minReplicas"], worker["replicas"]) >= 2
        for budget in rendered.of("PodDisruptionBudget"):
            assert budget["spec"]["maxUnavailable"] == 1
        for each in rendered.of("Deployment"):
            assert each["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}

    def test_postgres_has_connections_for_all_of_them(self, rendered: Rendered) -> None:
        """As many pods as there may be, one more of each while they are replaced; a worker listens and leads on
        connections beside its pool. PostgreSQL's default is 100 connections, 3 of them for superusers."""
        pool = int(Settings.model_fields["database_pool_size"].default)
        (scaler,) = rendered.of("HorizontalPodAutoscaler")
        workers = rendered.named("Deployment", "billing-worker")["spec"]["replicas"]

        pods = scaler["spec"]["maxReplicas"] + 1 + workers + 1
        assert pods * pool + 2 * (workers + 1) <= 97

    def test_the_account_has_no_token(self, rendered: Rendered) -> None:
        """Nothing of ours speaks to Kubernetes."""
        (account,) = rendered.of("ServiceAccount")
        assert account["automountServiceAccountToken"] is False
        for each in rendered.of("Deployment"):
            assert each["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
        assert rendered.of("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding") == []


def test_the_upgrade_is_done_in_its_order_and_by_itself(kubectl: str) -> None:
    """Schema, roles, streams, each after the one before has ended well; with nothing else that has to be there."""
    upgrade, example = render(kubectl, UPGRADE), render(kubectl, EXAMPLE)
    (job,) = upgrade.of("Job")

    assert [container["args"] for _, _, container in upgrade.containers()] == [
        ["billing", "db", "upgrade"],
        ["billing", "db", "roles"],
        ["billing", "nats", "upgrade"],
    ]
    assert len(job["spec"]["template"]["spec"]["containers"]) == 1
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert example.of("Job") == []
    assert {each["metadata"]["name"] for each in upgrade.manifests}.isdisjoint(
        each["metadata"]["name"] for each in example.manifests
    )
    assert {each["metadata"]["namespace"] for each in (*upgrade.manifests, *example.manifests)} == {"billing"}
