"""What merchants used over all processes, in Redis: one number for each merchant that owes something."""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from billing_adapters.redis.client import REDIS_FAILURES, RedisClient
from billing_adapters.redis.cluster import BillingCluster
from billing_adapters.redis.refusals import refusal
from billing_core.errors import SharedUsageUnavailable

OPERATION_TIMEOUT_S = 0.3
# While a script runs, Redis does nothing else: some 3 µs for each merchant.
MOST_AT_ONCE: Final = 500
_PREFIX: Final = "billing:rate:"
# On a cluster a script may touch the keys of one slot only. What stands in braces decides about the slot, so that each
# of these is one script's, and they are spread over the nodes.
_PREFIXES_OF_CLUSTER: Final = tuple(f"billing:rate:{{{number}}}:" for number in range(16))

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

    def __init__(self, client: RedisClient, *, timeout_s: float = OPERATION_TIMEOUT_S) -> None:
        """This will charge through the client, giving what is charged at once `timeout_s` seconds."""
        self._client, self._timeout_s = client, timeout_s
        self._prefixes = _PREFIXES_OF_CLUSTER if isinstance(client, BillingCluster) else (_PREFIX,)

    async def charge(self, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        """See `SharedUsage.charge`: one round trip for every 500 merchants, and one for none. On a cluster merchants
        are in sixteen parts, charged at the same time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                if len(self._prefixes) == 1 or not used_us:
                    return await self._charge(self._prefixes[0], used_us, within_us)
                return await self._charge_parts(used_us, within_us)
        except REDIS_FAILURES as failure:
            why = refusal(failure) or repr(failure)
            raise SharedUsageUnavailable(f"Redis cannot tell what was used: {why}") from failure

    async def _charge_parts(self, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        prefixes, parts = self._prefixes, defaultdict[str, dict[str, int]](dict)
        for merchant_id, used in used_us.items():
            parts[prefixes[zlib.crc32(merchant_id.encode()) % len(prefixes)]][merchant_id] = used
        told = await asyncio.gather(*(self._charge(prefix, part, within_us) for prefix, part in parts.items()))
        owed_us = {merchant_id: owed for part in told for merchant_id, owed in part.items()}
        return {merchant_id: owed_us[merchant_id] for merchant_id in used_us}

    async def _charge(self, prefix: str, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        charges, owed_us = [f"{merchant_id} {used}" for merchant_id, used in used_us.items()], list[int]()
        for at in range(0, max(len(charges), 1), MOST_AT_ONCE):
            some = " ".join(charges[at : at + MOST_AT_ONCE])
            told = await self._client.eval(_CHARGE, 1, prefix, some, within_us)
            owed_us += map(int, told.split())
        return dict(zip(used_us, owed_us, strict=True))
