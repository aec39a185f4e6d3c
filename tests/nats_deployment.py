"""A NATS server as `deploy/nats` describes it, with keys and certificates made for one test run."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from billing_adapters.embedded.binaries import find_programs
from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.nkeys import UserKey
from billing_adapters.nats.permissions import ADMIN, CLI, DOOR, HTTP, WORKER, NatsUser
from billing_adapters.nats.streams import ensure_streams
from billing_adapters.tls import CertificateFiles
from tests.certificates import Authority, Certificate

DEPLOY = Path(__file__).parents[1] / "deploy" / "nats"
OTHERS = "# The users of other services stand here"
READY_S = 30.0
USERS = (HTTP, DOOR, WORKER, CLI, ADMIN)
# Other teams, who own MERCHANT and WEBHOOK and may do what they like in this account.
EVERYBODY_ELSE = NatsUser(name="others", inbox="_INBOX", publishes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsDeployment:
    """The running server. `keys` are those of the users by name."""

    folder: Path
    url: str
    monitor: str
    authority: Authority
    client: Certificate
    process: "subprocess.Popen[bytes]"
    keys: Mapping[str, UserKey] = field(repr=False)

    def access(self, user: NatsUser, *, key: UserKey | None = None, inbox: str | None = None) -> NatsAccess:
        """How to get in as the user, or with another key, or listening elsewhere."""
        return NatsAccess(
            inbox_prefix=inbox or user.inbox,
            user=user,
            certificates=CertificateFiles(
                prefix="BILLING_NATS", ca=self.authority.ca, cert=self.client.cert, key=self.client.key
            ),
            nkey_seed=SecretStr((key or self.keys[user.name]).seed),
        )

    def environment(self, user: NatsUser) -> dict[str, str]:
        """The same for a process of ours, with the seed in a file."""
        seed = self.folder / f"{user.name}.nk"
        seed.touch(mode=0o600)
        seed.write_text(self.keys[user.name].seed + "\n")
        return {
            "BILLING_NATS_URL": self.url,
            "BILLING_NATS_CA_FILE": str(self.authority.ca),
            "BILLING_NATS_CERT_FILE": str(self.client.cert),
            "BILLING_NATS_KEY_FILE": str(self.client.key),
            "BILLING_NATS_NKEY_SEED_FILE": str(seed),
            "BILLING_NATS_MONITOR_URL": self.monitor,
        }

    def permit(self, *, without: str = "", user: NatsUser | None = None, instead: str | None = None) -> None:
        """This will take a line (or what is part of one) out of the accounts file, of one user or all, or put
        something else in its place, and have the server read it; without arguments, as it was."""
        write_accounts(self.folder, without=without, user=user, instead=instead)
        read_before = self.log().count("Reloaded server configuration")
        self.process.send_signal(signal.SIGHUP)
        _wait_until(lambda: self.log().count("Reloaded server configuration") > read_before, self.log)

    def log(self) -> str:
        """What the server told so far."""
        return (self.folder / "nats.log").read_text("utf-8", "replace")


@contextmanager
def deployed_nats(folder: Path, made: Mapping[str, UserKey] | None = None) -> Iterator[NatsDeployment]:
    """This will run the server while the block lasts, with the streams that belong to other services, and Billing's.
    Keys that were `made` elsewhere are its users', by name."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder / "certificates")
    keys = {user.name: UserKey.generate() for user in (*USERS, EVERYBODY_ELSE)} | dict(made or {})
    write_accounts(folder)
    (folder / "nats-server.conf").write_text((DEPLOY / "nats-server.conf").read_text("utf-8"), "utf-8")
    server = authority.server()
    environment = {
        "NATS_TLS_CERT": str(server.cert),
        "NATS_TLS_KEY": str(server.key),
        "NATS_TLS_CA": str(authority.ca),
        "NATS_STORE_DIR": str(folder / "store"),
        **{variable_of(name): key.public for name, key in keys.items()},
    }
    program = str(find_programs(frozenset({"nats"}))["nats"])
    command = [program, "-c", str(folder / "nats-server.conf"), "-a", "127.0.0.1", "-p", "-1", "-m", "-1"]
    command += ["--ports_file_dir", str(folder)]
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        ports = _ports(folder)
        deployment = NatsDeployment(
            folder=folder,
            url=f"tls://127.0.0.1:{ports['nats'][0].rpartition(':')[2]}",
            monitor=f"http://127.0.0.1:{ports['monitoring'][0].rpartition(':')[2]}",
            authority=authority,
            client=authority.client(),
            process=process,
            keys=keys,
        )
        yield deployment
    finally:
        process.terminate()
        process.wait()


async def make_streams(nats: NatsDeployment) -> None:
    """This will make what other services make: their streams. (Ours too, with the same settings: that is the
    command's to do, and it finds it done.)"""
    async with open_nats(nats.url, name="others", access=nats.access(EVERYBODY_ELSE)) as connection:
        await ensure_streams(connection, manage_all=True)


def write_accounts(
    folder: Path, *, without: str = "", user: NatsUser | None = None, instead: str | None = None
) -> None:
    """This will write the shipped accounts file with one more user, who may do everything; `without` a line."""
    lines = (DEPLOY / "accounts.conf").read_text("utf-8").splitlines()
    kept, whose, found = [], "", False
    for line in lines:
        if "nkey:" in line:
            whose = line.strip().removeprefix("nkey: $")
        if without and without in line and (user is None or whose == variable_of(user.name)):
            found = True
            if instead is not None:
                kept.append(line.replace(without, instead))
            continue
        if OTHERS in line:
            kept.append(f"      {{ nkey: ${variable_of(EVERYBODY_ELSE.name)} }}")
        kept.append(line)
    assert found or not without, f"there is no line with {without}"
    (folder / "accounts.conf").write_text("\n".join(kept), "utf-8")


def variable_of(name: str) -> str:
    """The variable with the public key of the user."""
    return f"{name.upper().replace('-', '_')}_NKEY"


def _ports(folder: Path) -> dict[str, list[str]]:
    found: list[dict[str, list[str]]] = []

    def are_told() -> bool:
        found.extend(json.loads(text) for each in folder.glob("*.ports") if (text := each.read_text()))
        return bool(found)

    _wait_until(are_told, lambda: (folder / "nats.log").read_text("utf-8", "replace"))
    return found[0]


def _wait_until(fact: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + READY_S
    while not fact():
        assert time.monotonic() < deadline_s, complaint()
        time.sleep(0.01)
