"""redis-py's client for a Redis cluster, with what Billing needs beside it: nothing is tried twice, and whatever failed
is looked at anew next time."""

from collections.abc import Sequence
from typing import Any

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.exceptions import ClusterError, ConnectionError, TimeoutError  # noqa: A004 - redis-py's own

# With one of these the node that was asked is away, or not the one to ask any more.
_ASTRAY = (ConnectionError, TimeoutError, ClusterError)


class BillingCluster(RedisCluster):
    """A cluster of which Billing asks for one key at a time.

    redis-py reads the map of the cluster anew where it tries a command again, and after a lost connection; not after a
    pipeline that failed where nothing is to be tried again, nor after a command whose sender gave it up. Without that a
    primary that fell silent would be asked for ever, though its replica has its slots.
    """

    def __init__(self, **options: Any) -> None:
        """This will take redis-py's options. Nothing is connected before the first command."""
        super().__init__(**options)
        self.commands_parser = _FirstArgument()

    def look_again(self) -> None:
        """This will have the next command ask for the cluster's map first."""
        self._initialize = True

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> "ClusterPipeline":
        """This will open a pipeline; those of a cluster are no transactions."""
        return _Pipeline(self, transaction)  # type: ignore[abstract]  # redis-py's own is, too, to who reads its types

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """This will send one command and return its answer. Raises what redis-py raises."""
        whole = False
        try:
            answer = await super().execute_command(*args, **kwargs)
            whole = True
        finally:
            if not whole:  # by a cancellation too: its sender waited for somebody who does not answer
                self.look_again()
        return answer

    async def aclose(self) -> None:
        """This will close every connection, those of a cluster that is to be looked at again too."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


class _Pipeline(ClusterPipeline):
    cluster_client: BillingCluster

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        whole = False
        try:
            answers: list[Any] = await super().execute(raise_on_error, allow_redirections)
            whole = not any(isinstance(each, _ASTRAY) for each in answers)
        finally:
            if not whole:
                self.cluster_client.look_again()
        return answers


class _FirstArgument(AsyncCommandsParser):
    """Every command of Billing's that has a key has it right after its name. redis-py would ask the server for a table
    of all commands at every start and after every failure: one permission more for a user."""

    async def initialize(self, node: ClusterNode | None = None) -> None:
        pass

    async def get_keys(self, *args: Any) -> Sequence[Any]:  # type: ignore[override]  # redis-py asks for its length only
        return args[1:2]
