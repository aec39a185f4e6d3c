"""The header fields that `docs/security.md` shows are those of the first answer under production's limit."""

from tests.apps.http.door import open_door, some_settings
from tests.documents.pages import Claim

from billing_adapters.settings import Settings
from billing_core.domain.rate_limits import RateLimit
from billing_core.testing import InMemoryBilling, InMemoryUsage
from billing_core.use_cases.limit_requests import LimitRequests
from billing_http.rate_limits import RateLimits

CLAIMS = (Claim(page="docs/security.md", languages=("text",)),)


def productions_limit() -> RateLimit:
    """The one in force where nothing is set."""
    limit = Settings.model_construct(env="production").rate_limit
    assert limit is not None
    return limit


async def test_the_first_answer_has_these_fields(billing: InMemoryBilling) -> None:
    """Name by name and value by value."""
    (block,) = CLAIMS[0].blocks()
    shown = dict(line.lower().split(": ", 1) for line in block.text.splitlines())
    limiter = LimitRequests(limit=productions_limit(), usage=InMemoryUsage(lambda: 10**9), now_us=lambda: 10**9)

    async with open_door(billing, some_settings(docs=True), limits=RateLimits(limiter)) as door:
        answer = await door.get("/api/billing")

    assert {name: answer.headers.get(name) for name in shown} == shown
