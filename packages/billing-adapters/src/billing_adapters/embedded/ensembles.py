"""Several servers that are one to those who use them: what each is told of the others, and how they come together."""

import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from billing_adapters.embedded.folder import LOOPBACK
from billing_adapters.embedded.redis_talk import talk
from billing_adapters.embedded.servers import PROBE_TIMEOUT_S

SERVICE: Final = "billing"  # the name the sentinels know the primary by
SLOTS: Final = 16_384
# Short, because it is tests that wait for it: so soon a silent primary is given up, and its replica promoted.
DOWN_AFTER_MS, FAILOVER_TIMEOUT_MS = 1_000, 3_000
NODE_TIMEOUT_MS = 2_000
_ROUTES_USER: Final = "routes"
_PROBE: Final = "billing-embedded-probe"


class Ensemble(Protocol):
    """What the supervisor knows of servers that belong together."""

    @property
    def name(self) -> str:
        """The server they are."""

    def form(self) -> bool:
        """This will bring them together, as far as they are not, and tell whether they can be used. `OSError` means:
        not yet."""

    def urls(self) -> dict[str, str]:
        """This will return the fields of `ServerUrls` that they fill together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsCluster:
    """NATS servers with one JetStream over all of them; `ports` by member."""

    ports: Mapping[str, int]
    route_ports: Mapping[str, int]
    password: str
    name: str = "nats"

    def lines_of(self, member: str) -> tuple[str, ...]:
        """This will return what the member's configuration has besides that of a server alone."""
        routes = [f"nats://{_ROUTES_USER}:{self.password}@{LOOPBACK}:{port}" for port in self.route_ports.values()]
        return (
            "cluster {",
            '  name: "billing-embedded"',
            f'  listen: "{LOOPBACK}:{self.route_ports[member]}"',
            f'  authorization {{ user: "{_ROUTES_USER}", password: "{self.password}" }}',
            f"  routes: {json.dumps(routes)}",
            "}",
        )

    def form(self) -> bool:
        """This will tell whether every node can be asked to keep a stream: they find each other and elect a leader by
        themselves, and it learns of each a little later than they answer."""
        answers = [self._ask(port, "INFO") for port in self.ports.values()]
        if not all(answers):
            return False
        first, *_ = self.ports.values()
        probe = {"name": _PROBE, "subjects": [_PROBE], "storage": "memory", "num_replicas": len(self.ports)}
        made = self._ask(first, f"STREAM.CREATE.{_PROBE}", probe)
        return made and self._ask(first, f"STREAM.DELETE.{_PROBE}")

    def urls(self) -> dict[str, str]:
        """This will return every node's URL, with commas between."""
        return {"nats": ",".join(f"nats://{self.password}@{LOOPBACK}:{port}" for port in self.ports.values())}

    def _ask(self, port: int, question: str, document: Mapping[str, object] | None = None) -> bool:
        """This will ask JetStream over this node, and tell whether it answered, and no error."""
        body = json.dumps(document or {})
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as session:
            lines = session.makefile("rb")
            lines.readline()
            session.sendall(
                f'CONNECT {{"auth_token":"{self.password}","verbose":false}}\r\nSUB {_PROBE}.answer 1\r\n'
                f"PUB $JS.API.{question} {_PROBE}.answer {len(body)}\r\n{body}\r\n".encode()
            )
            while line := lines.readline():
                if line.startswith(b"MSG"):
                    return b'"error"' not in lines.readline()
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRedis:
    """A primary and its replica, and sentinels that promote the replica once most of them miss the primary."""

    data_ports: Mapping[str, int]
    sentinel_ports: Mapping[str, int]
    password: str
    name: str = "redis"

    def lines_of(self, member: str) -> tuple[str, ...]:
        """This will return what the member's configuration has besides that of a server alone."""
        first, *replicas = self.data_ports
        if member in self.data_ports:
            follows = (f"replicaof {LOOPBACK} {self.data_ports[first]}",) if member != first else ()
            return (f"primaryauth {self.password}", "repl-diskless-sync-delay 0", *follows)
        others = [each for each in self.sentinel_ports if each != member]
        return (
            f"sentinel myid {_identity(member)}",
            f"sentinel sentinel-pass {self.password}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {self.data_ports[first]} {len(self.sentinel_ports) // 2 + 1}",
            f"sentinel auth-pass {SERVICE} {self.password}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
            # What they would find out about each other in some ten seconds.
            *(f"sentinel known-replica {SERVICE} {LOOPBACK} {self.data_ports[each]}" for each in replicas),
            *(
                f"sentinel known-sentinel {SERVICE} {LOOPBACK} {self.sentinel_ports[each]} {_identity(each)}"
                for each in others
            ),
        )

    def form(self) -> bool:
        """This will tell whether the sentinels see each other and a replica that follows."""
        for port in self.sentinel_ports.values():
            agreed, replicas = talk(port, self.password, ("SENTINEL", "CKQUORUM", SERVICE), _REPLICAS)
            if not str(agreed).startswith("OK") or "master-link-status', 'ok'" not in str(replicas):
                return False
        return True

    def urls(self) -> dict[str, str]:
        """This will return one URL that names the sentinels and the service."""
        places = ",".join(f"{LOOPBACK}:{port}" for port in self.sentinel_ports.values())
        login, more = f":{self.password}", f"sentinel_password={self.password}"
        return {"redis": f"redis+sentinel://{login}@{places}/{SERVICE}/0?{more}"}


_REPLICAS: Final = ("SENTINEL", "REPLICAS", SERVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisNodes:
    """A cluster of primaries, each with its part of the slots; `ports` by member."""

    ports: Mapping[str, int]
    bus_ports: Mapping[str, int]
    password: str
    name: str = "redis"

    def lines_of(self, member: str) -> tuple[str, ...]:
        """This will return what the member's configuration has besides that of a server alone."""
        return (
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            f"cluster-port {self.bus_ports[member]}",
            f"cluster-node-timeout {NODE_TIMEOUT_MS}",
            "cluster-require-full-coverage no",  # what the others have is there without it
            f"primaryauth {self.password}",
        )

    def form(self) -> bool:
        """This will give each its slots and have them meet, and tell whether every slot is served."""
        states = {member: str(talk(port, self.password, ("CLUSTER", "INFO"))[0]) for member, port in self.ports.items()}
        if all("cluster_state:ok" in each for each in states.values()):
            return all(f"cluster_known_nodes:{len(self.ports)}\r" in each for each in states.values())
        alone = [member for member, state in states.items() if "cluster_known_nodes:1\r" in state]
        for member in alone:  # what it has been given before it refuses, which is as good
            talk(self.ports[member], self.password, *self._share_of(member))
        for member in alone:
            talk(self.ports[member], self.password, *self._meetings_of(member))
        return False

    def urls(self) -> dict[str, str]:
        """This will return one URL that names every node."""
        places = ",".join(f"{LOOPBACK}:{port}" for port in self.ports.values())
        return {"redis": f"redis+cluster://:{self.password}@{places}"}

    def _share_of(self, member: str) -> Sequence[tuple[str, ...]]:
        number, nodes = list(self.ports).index(member), len(self.ports)
        first, after = number * SLOTS // nodes, (number + 1) * SLOTS // nodes
        return (
            ("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1)),
            ("CLUSTER", "ADDSLOTSRANGE", str(first), str(after - 1)),
        )

    def _meetings_of(self, member: str) -> Sequence[tuple[str, ...]]:
        others = [each for each in self.ports if each != member]
        return [("CLUSTER", "MEET", LOOPBACK, str(self.ports[each]), str(self.bus_ports[each])) for each in others]


def _identity(member: str) -> str:
    return hashlib.sha256(member.encode()).hexdigest()[:40]
