"""In which order the servers of a cluster are tried."""

import random
from collections import deque
from collections.abc import Sequence


class Rounds:
    """Every round tries all servers, each time another one first: one that takes connections and says nothing costs one
    round its time, and not the next one too. The first order is drawn, so that processes spread over the servers."""

    def __init__(self, servers: Sequence[str]) -> None:
        """This will take the servers' URLs."""
        self._servers = deque(random.sample(servers, len(servers)))

    def next(self) -> list[str]:
        """This will return the order of the next round."""
        order = list(self._servers)
        self._servers.rotate(-1)
        return order
