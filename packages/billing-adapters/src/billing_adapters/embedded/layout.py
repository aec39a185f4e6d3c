"""How many processes each of the servers is: one, or several that are one to those who use them."""

from dataclasses import dataclass
from typing import Final, Literal

RedisKind = Literal["single", "sentinel", "cluster"]

# What is appended to a member's name for the port on which the members talk to each other.
PEERS: Final = ".peers"
SENTINELS: Final = ("sentinel-1", "sentinel-2", "sentinel-3")
_REDIS: Final[dict[str, tuple[str, ...]]] = {
    "single": ("redis",),
    "sentinel": ("redis-1", "redis-2", *SENTINELS),
    "cluster": ("redis-1", "redis-2", "redis-3"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`nats_nodes` above 1 is a NATS cluster of so many. `redis` is one server, a primary (`redis-1`) and its replica
    watched by three sentinels, or a cluster of three primaries."""

    nats_nodes: int = 1
    redis: RedisKind = "single"

    def members(self, server: str) -> tuple[str, ...]:
        """The names of the processes that are this server: its own where it is one."""
        if server == "redis":
            return _REDIS[self.redis]
        if server == "nats" and self.nats_nodes > 1:
            return tuple(f"nats-{number}" for number in range(1, self.nats_nodes + 1))
        return (server,)

    def ports(self, server: str) -> tuple[str, ...]:
        """The names of the ports this server needs: its members', and those on which they talk to each other."""
        members = self.members(server)
        talks = (server == "nats" and self.nats_nodes > 1) or (server == "redis" and self.redis == "cluster")
        return (*members, *(f"{member}{PEERS}" for member in members if talks))


ONE_OF_EACH: Final = Layout()
