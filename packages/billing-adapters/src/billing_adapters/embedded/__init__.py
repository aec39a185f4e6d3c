"""Real PostgreSQL, Valkey and NATS JetStream from Python wheels, for development and tests.

No Docker, no system packages, no root: `EmbeddedServers(folder).start()` hands out their URLs, and whatever
ends the caller ends the servers too. For Linux and macOS (and so WSL).

Only the standard library is imported here: the supervising process starts through this package.
"""

from billing_adapters.embedded.folder import ALL_SERVERS, EmbeddedServersError, ServerUrls
from billing_adapters.embedded.layout import Layout
from billing_adapters.embedded.stack import EmbeddedServers

__all__ = ["ALL_SERVERS", "EmbeddedServers", "EmbeddedServersError", "Layout", "ServerUrls"]
