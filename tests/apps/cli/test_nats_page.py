"""`docs/nats.md` followed step by step: keys, the server with the shipped files, settings, streams, the doctor."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.apps.cli.conftest import Billing
from tests.documents.pages import Claim
from tests.nats_deployment import NatsDeployment, deployed_nats, make_streams

from billing_adapters.nats.nkeys import UserKey
from billing_adapters.settings import Settings

CLAIMS = (Claim(page="docs/nats.md", languages=("sh",)),)
WITHIN_S = 120


def typed(text: str, folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """This will type the lines in the folder, with the commands of this environment at hand."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return subprocess.run(
        ["/bin/sh", "-e"],
        input=text,
        cwd=folder,
        env={**kept, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def as_deployed(text: str, nats: NatsDeployment, folder: Path) -> str:
    """The settings with this server's address and files where the page has a deployment's."""
    for there, here in {
        "tls://nats.internal:4222": nats.url,
        "/etc/billing/ca.pem": nats.authority.ca,
        "/etc/billing/tls.crt": nats.client.cert,
        "/etc/billing/tls.key": nats.client.key,
        "/run/secrets": folder,
    }.items():
        assert there in text
        text = text.replace(there, str(here))
    return text


def settings_of(text: str, folder: Path) -> Mapping[str, str]:
    """What a shell makes of the settings."""
    done = typed(f"set -a\n{text}\nenv", folder, {})
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("BILLING_"))
    assert len(told) == text.count("BILLING_")
    return told


def test_the_page_leads_to_a_worker_that_may_do_what_it_needs(billing: Billing, tmp_path: Path) -> None:
    """New keys, `nats upgrade` with the admin's, and `doctor --as worker`, which finds nothing missing in NATS."""
    new_key, settings, upgrade, doctor = (block.text for block in CLAIMS[0].blocks())
    made = {}
    for user in ("worker", "admin"):
        printed = typed(new_key.replace("worker", user), tmp_path, {}).stdout.strip()
        made[f"billing-{user}"] = UserKey.from_seed((tmp_path / f"{user}.nk").read_text().strip())
        assert printed == made[f"billing-{user}"].public

    with deployed_nats(tmp_path / "server", made) as nats:
        with ThreadPoolExecutor(max_workers=1) as executor:
            executor.submit(asyncio.run, make_streams(nats)).result()
        environment = {name: value for name, value in billing.environment.items() if value is not None}
        environment |= settings_of(as_deployed(settings, nats, tmp_path), tmp_path)
        upgraded = typed(upgrade, tmp_path, environment)
        examined = typed(doctor, tmp_path, {**environment, "BILLING_NATS_MONITOR_URL": nats.monitor})

    assert upgraded.returncode == 0, upgraded.stderr
    assert "as Billing needs them" in upgraded.stdout
    found = re.findall(r"^(\w+) +((?:nats|jetstream).*?):", examined.stdout, re.MULTILINE)
    wanted = ("nats", "nats transport", "nats permissions", "jetstream sync")
    assert found == [("ok", check) for check in wanted], examined.stdout + examined.stderr


def test_every_setting_it_names_is_one() -> None:
    """Blocks and sentences: a variable nobody reads would be believed to protect."""
    known = {f"BILLING_{name.upper()}" for name in Settings.model_fields}

    named = {name for block in CLAIMS[0].blocks() for name in re.findall(r"BILLING_[A-Z_]+[A-Z]", block.text)}

    assert {name for name in named if name not in known and name.removesuffix("_FILE") not in known} == set()
