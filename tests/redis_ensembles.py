"""A Redis of each kind Billing runs on, as the tests that take its servers away look at it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from billing_adapters.embedded import EmbeddedServers, Layout
from billing_adapters.embedded.ensembles import SERVICE
from billing_adapters.embedded.layout import SENTINELS, RedisKind
from billing_adapters.embedded.redis_talk import Answer, talk

KINDS: Final[tuple[RedisKind, ...]] = ("single", "sentinel", "cluster")
PRIMARIES: Final = ("redis-1", "redis-2")
# A failover takes some two seconds, and a machine that is busy with other tests more.
DEADLINE_S: Final = 60.0


class Redises:
    """The running servers of one kind. Who takes one away gives it back."""

    def __init__(self, kind: RedisKind, servers: EmbeddedServers, ports: Mapping[str, int]) -> None:
        """This will look at servers that are started."""
        self.kind, self.servers, self.url = kind, servers, servers.urls.redis or ""
        self._ports = ports
        self.password = (urlsplit(self.url.partition("@")[0] + "@x").password) or ""

    @property
    def data_members(self) -> Sequence[str]:
        """The servers that keep something."""
        return [each for each in self._ports if each not in SENTINELS]

    def port(self, member: str) -> int:
        """Where this server listens."""
        return self._ports[member]

    def ask(self, member: str, *command: str) -> Answer:
        """This will ask one server and return its answer. Raises OSError where it is away."""
        return talk(self._ports[member], self.password, command)[0]

    def primary(self) -> str:
        """The server that is the primary, as the sentinels have it; of a cluster the first one."""
        if self.kind == "cluster":
            return "redis-1"
        if self.kind == "single":
            return "redis"
        told = self.ask(SENTINELS[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        assert isinstance(told, list)
        return next(name for name, port in self._ports.items() if str(port) == told[1])

    def mend(self) -> None:
        """This will have every server running and doing its part, whatever a test did, with nothing in any of them."""
        members = Layout(redis=self.kind).members("redis")
        if self.kind == "sentinel" and not self._is_whole():
            # Sentinels take twenty seconds to make a replica of a former primary; begun anew, they have no other one.
            self.servers.stop()
            self.servers.start()
        for member in members:
            if member in self.servers.pids():
                self.servers.resume_server(member)
            self.servers.start_server(member)
        deadline_s = time.monotonic() + DEADLINE_S
        while not self._is_whole():
            assert time.monotonic() < deadline_s, f"the servers of {self.kind} do not come together"
            time.sleep(0.05)
        for member in self.data_members:
            self.ask(member, "FLUSHALL")  # a replica refuses, and follows its primary in this

    def _is_whole(self) -> bool:
        try:
            if self.kind == "cluster":
                return all("cluster_state:ok" in str(self.ask(each, "CLUSTER", "INFO")) for each in self._ports)
            if self.kind == "single":
                return self.ask("redis", "PING") == "PONG"
            return all(map(self._is_watched, SENTINELS))
        except OSError:
            return False

    def _is_watched(self, sentinel: str) -> bool:
        replicas = str(self.ask(sentinel, "SENTINEL", "REPLICAS", SERVICE))
        quorum = str(self.ask(sentinel, "SENTINEL", "CKQUORUM", SERVICE))
        roles = [str(self.ask(each, "ROLE")) for each in PRIMARIES]
        return (
            quorum.startswith("OK 3 usable")
            and "'master-link-status', 'ok'" in replicas
            and "s_down" not in replicas
            and sum("'master'" in each.partition(",")[0] for each in roles) == 1
        )


@contextmanager
def running_redises(folder: Path) -> Iterator["AnyRedis"]:
    """This will run a Redis of each kind that is asked for, from then on to the end of the block."""
    with ExitStack() as closing:
        yield AnyRedis(folder, closing)


class AnyRedis:
    """Starts a kind when it is first asked for."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self._folder, self._closing = folder, closing
        self._running: dict[RedisKind, Redises] = {}

    def of(self, kind: RedisKind) -> Redises:
        """The running servers of this kind, whole and with nothing in them."""
        if kind not in self._running:
            servers = EmbeddedServers(
                self._folder / kind, durable=False, which=frozenset({"redis"}), layout=Layout(redis=kind)
            )
            self._closing.enter_context(servers)
            ports = json.loads((servers.data / "access.json").read_text("utf-8"))["ports"]
            self._running[kind] = Redises(
                kind, servers, {each: ports[each] for each in Layout(redis=kind).members("redis")}
            )
        self._running[kind].mend()
        return self._running[kind]
