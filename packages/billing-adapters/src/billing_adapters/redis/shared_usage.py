"""What merchants used over all processes, in Redis: one number for each merchant that owes something."""

import asyncio
from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis

from billing_adapters.redis.client import REDIS_FAILURES
from billing_core.errors import SharedUsageUnavailable

OPERATION_TIMEOUT_S = 0.3
# While a script runs, Redis does nothing else: some 3 µs for each merchant.
MOST_AT_ONCE: Final = 500
_PREFIX: Final = "billing:rate:"

# Redis' clock is the one clock of all processes. A number is the moment, in its microseconds, when the merchant will
# owe nothing any more, and goes at that moment. Lua's numbers are doubles: exact for microseconds until the year 2255.
# Merchants come as one text, and so does the answer: as parameters they would cost the process ten times as much.
_CHARGE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local began = now - ARGV[2]
local owed = {}
for merchant_id, used in string.gmatch(ARGV[1], '(%S+) (%d+)') do
  local name = KEYS[1] .. merchant_id
  local free_at = tonumber(redis.call('GET', name) or '0')
  if used ~= '0' then
    free_at = math.max(free_at, began) + tonumber(used)
    if free_at > now then
      redis.call('SET', name, string.format('%.0f', free_at), 'PX', math.ceil((free_at - now) / 1000))
    end
  end
  owed[#owed + 1] = string.format('%.0f', math.max(free_at - now, 0))
end
return table.concat(owed, ' ')
"""


class RedisUsage:
    """The `SharedUsage` of every process on the same Redis."""

    def __init__(self, client: Redis, *, timeout_s: float = OPERATION_TIMEOUT_S) -> None:
        """This will charge through the client, giving what is charged at once `timeout_s` seconds."""
        self._client, self._timeout_s = client, timeout_s

    async def charge(self, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        """See `SharedUsage.charge`: one round trip for every 500 merchants, and one for none."""
        charges, owed_us = [f"{merchant_id} {used}" for merchant_id, used in used_us.items()], list[int]()
        try:
            async with asyncio.timeout(self._timeout_s):
                for at in range(0, max(len(charges), 1), MOST_AT_ONCE):
                    some = " ".join(charges[at : at + MOST_AT_ONCE])
                    told = await self._client.eval(_CHARGE, 1, _PREFIX, some, within_us)
                    owed_us += map(int, told.split())
        except REDIS_FAILURES as failure:
            raise SharedUsageUnavailable(f"Redis cannot tell what was used: {failure!r}") from failure
        return dict(zip(used_us, owed_us, strict=True))
