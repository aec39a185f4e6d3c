"""Redis (or Valkey): fast repeats. Never the truth; away, it is only missed."""

import sys

# Wherever OpenTelemetry's SDK is installed, redis-py imports it, for metrics of its own that nobody here asks it for:
# 40 ms of every start, and 3 MB of every process. So it is imported here first, and looks for the SDK in vain.
_HIDDEN = [name for name in ("opentelemetry.metrics", "opentelemetry.sdk.metrics") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]  # None: there is no such module

import redis.asyncio  # noqa: E402, F401

for _name in _HIDDEN:
    del sys.modules[_name]
