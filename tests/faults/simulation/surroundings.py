"""What all processes share, and what lives on when they die: the database, the broker, the platforms, the weather."""

import asyncio
from datetime import timedelta
from random import Random
from typing import cast

from tests.faults.oracle import Told
from tests.faults.ports import FaultyPorts
from tests.faults.simulation.broker import Durable
from tests.faults.simulation.weather import Bell, History, LoopClock, Weather

from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Catalog, CreditPack, PriceBook, TrialTerms
from billing_core.testing import InMemoryPublisher, InMemoryReplayCache, InMemoryStorage, ScriptedPlatform, a_merchant
from billing_core.testing.clock import FixedClock

LIFETIME, GRACE = timedelta(minutes=2), timedelta(minutes=1)
# Two of the merchants are one shop, installed a second time.
SHOPS = {"m-0": ("stripe", "shop-a"), "m-1": ("stripe", "shop-a"), "m-2": ("shopify", "shop-b")}
PACKS = ("small", "large")
_SKEW_S = 10.0


class Surroundings:
    """One world, made from one source of chance."""

    def __init__(self, chance: Random, *, fault_rate: float, told: bool, steps_too: bool) -> None:
        self.chance = chance
        self.history = History(is_told=told, steps_too=steps_too)
        self.weather = Weather(chance, self.history, rate=fault_rate)
        self.storage = InMemoryStorage(cast("FixedClock", LoopClock()))
        self.publisher, self.replays = InMemoryPublisher(), InMemoryReplayCache()
        self.platforms = {
            "stripe": ScriptedPlatform("stripe", checkout_lifetime=LIFETIME, expiry_grace=GRACE),
            "shopify": ScriptedPlatform(
                "shopify", checkout_lifetime=LIFETIME, expiry_grace=GRACE, tells_refunds=False, is_idempotent=False
            ),
        }
        self.price_book = PriceBook.of(_catalog())
        self.merchants = Durable("merchants", chance, self.history, self.weather)
        self.webhooks = Durable("webhooks", chance, self.history, self.weather)
        self.recorded, self.end = Bell(), Bell()
        self.told: list[Told] = []
        self.poisons: list[frozenset[str]] = []  # the ids each may be parked under
        self.shops: dict[str, Merchant] = {
            each: a_merchant(each, platform=platform, platform_account_id=account)
            for each, (platform, account) in SHOPS.items()
        }
        self._relayed_by: str | None = None
        self._about_to_ring = False

    def ports(self, who: str) -> FaultyPorts:
        """The ports of a process that starts now; its clock is a little off."""
        ports = FaultyPorts(
            self.weather.hook(who, self._before),
            storage=self.storage,
            platforms=self.platforms,
            publisher=self.publisher,
            replays=self.replays,
            slow=self.weather.slow,
        )
        ports.clock = cast("FixedClock", LoopClock(ahead_s=self.chance.uniform(-_SKEW_S, _SKEW_S)))
        return ports

    def _before(self, who: str, label: str) -> None:
        if label == "journal.record" and not self._about_to_ring:
            # The transaction will be committed by then, or the poll finds it later.
            self._about_to_ring = True
            asyncio.get_running_loop().call_later(1.0, self._ring)
        elif label == "publisher.publish":
            if self._relayed_by not in (None, who):
                self.history.reach("relay takeover")
            self._relayed_by = who

    def _ring(self) -> None:
        self._about_to_ring = False
        self.recorded.ring()


def _catalog() -> Catalog:
    """Two packs of which one has bonus credits, and a trial that ends within the time a world is looked at."""

    def pack(code: str, credits_: int, bonus: int, cents: int) -> CreditPack:
        prices = (Money(amount_minor=cents, currency="USD"),)
        return CreditPack(code=code, credits=credits_, bonus_credits=bonus, prices=prices)

    packs = (pack(PACKS[0], 100, 7, 1099), pack(PACKS[1], 1000, 0, 6999))
    return Catalog(version="simulated", packs=packs, trial=TrialTerms(duration_days=1), max_open_purchases=1)
