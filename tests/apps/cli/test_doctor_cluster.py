"""`billing doctor` on servers that are several: a NATS cluster, a Redis behind sentinels, a Redis cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.apps.cli.conftest import Billing
from tests.apps.cli.test_doctor import findings, monitored_nats
from tests.apps.cli.test_nats_page import settings_of
from tests.documents.pages import Claim
from tests.nats_cluster import NatsCluster, all_follow, leader_of
from tests.redis_ensembles import AnyRedis

from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.plan import ADVISORIES, BILLING, SUBJECTS
from billing_adapters.settings import Settings

CLAIMS = (Claim(page="docs/scaling.md", languages=("sh",), heading="NATS cluster"),)


def documented(cluster: NatsCluster, folder: Path) -> Mapping[str, str]:
    """The settings the page has for a cluster, with this one's servers in the place of its own."""
    (block,) = CLAIMS[0].blocks()
    text = block.text
    for number, url in enumerate(cluster.url.split(","), start=1):
        assert f"tls://nats-{number}.internal:4222" in text
        text = text.replace(f"tls://nats-{number}.internal:4222", url)
    settings = settings_of(text, folder)
    assert settings["BILLING_NATS_URL"] == cluster.url
    assert {name.removeprefix("BILLING_").lower() for name in settings} <= set(Settings.model_fields)
    return settings


class TestNatsCluster:
    async def test_upgrade_makes_streams_for_as_many_servers_as_configured(
        self, billing: Billing, nats_cluster: NatsCluster, tmp_path: Path
    ) -> None:
        """One of each is warned of, before the settings of docs/scaling.md; fewer than configured is a failure until it
        is raised; and then a server that is away is warned of by name."""
        billing.environment |= {"BILLING_NATS_URL": nats_cluster.url, "BILLING_NATS_MANAGE_STREAMS": "on"}
        billing.json("nats", "upgrade")
        (alone,) = findings(billing, "replicas")
        billing.environment |= documented(nats_cluster, tmp_path)
        fewer = findings(billing, "streams")
        billing.json("nats", "upgrade")
        async with open_nats(nats_cluster.url, name="test") as connection:
            await all_follow(connection, [*SUBJECTS, ADVISORIES])
            leader = await leader_of(connection, BILLING)
        (whole,) = findings(billing, "replicas")
        await nats_cluster.kill(leader)
        async with open_nats(nats_cluster.url, name="test") as connection:
            await leader_of(connection, BILLING, other_than=leader)
        missing = findings(billing, "replicas")

        assert (alone["verdict"], "BILLING_NATS_REPLICAS=3" in alone["remedy"]) == ("warn", True)
        assert [each["verdict"] for each in fewer] == ["fail"] * 3
        assert "BILLING_NATS_REPLICAS is 3" in fewer[0]["detail"]
        assert whole["verdict"] == "ok"
        assert {each["verdict"] for each in missing} == {"warn"}
        assert any(leader in each["detail"] for each in missing)


class TestMonitoring:
    def test_every_server_is_asked_whether_it_syncs(self, billing: Billing, tmp_path: Path) -> None:
        """One that does not is enough to lose something, and is named."""
        billing.environment["BILLING_ENV"] = "development"
        for folder in (tmp_path / "one", tmp_path / "other"):
            folder.mkdir()
        with (
            monitored_nats(tmp_path / "one", "always") as careful,
            monitored_nats(tmp_path / "other", "2m") as careless,
        ):
            billing.environment["BILLING_NATS_MONITOR_URL"] = f"{careful}, {careful}"
            (both,) = findings(billing, "jetstream sync")
            billing.environment["BILLING_NATS_MONITOR_URL"] = f"{careful},{careless}"
            (one,) = findings(billing, "jetstream sync")
            billing.environment["BILLING_NATS_MONITOR_URL"] = f"{careful},http://127.0.0.1:1"
            (unseen,) = findings(billing, "jetstream sync")

        assert [each["verdict"] for each in (both, one, unseen)] == ["ok", "warn", "warn"]
        assert careless in one["detail"]
        assert careful not in one["detail"]
        assert "127.0.0.1:1/varz" in unseen["detail"]


class TestRedis:
    @pytest.mark.parametrize("kind", ["sentinel", "cluster"])
    def test_it_is_looked_at_as_one(self, billing: Billing, redises: AnyRedis, kind: Any) -> None:
        """It answers, permits what Billing needs, and keeps what it says on this machine."""
        billing.environment["BILLING_REDIS_URL"] = redises.of(kind).url

        (redis,), (transport,) = findings(billing, "redis"), findings(billing, "redis transport")

        assert (redis["verdict"], transport["verdict"]) == ("ok", "ok")

    def test_hosts_elsewhere_want_tls(self, billing: Billing) -> None:
        """As they would one by one; with the scheme to write."""
        billing.environment["BILLING_REDIS_URL"] = "redis+sentinel://192.0.2.1,192.0.2.2/billing"

        (away,) = findings(billing, "redis")

        assert away["verdict"] == "warn"
        assert urlsplit("redis+sentinel://192.0.2.1").scheme in away["remedy"]
