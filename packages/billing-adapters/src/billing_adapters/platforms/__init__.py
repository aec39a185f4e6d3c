"""The payment platforms a deployment has configured."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from billing_adapters.platforms.sandbox import SandboxPlatform
from billing_adapters.platforms.sandbox_books import PostgresSandboxBooks
from billing_adapters.postgres.database import Database
from billing_adapters.settings import DEVELOPMENT_SECRET, Settings
from billing_core.ports.platforms import PaymentPlatform, RefundSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Platforms:
    """The platforms by name, and where refunds are read that they do not tell of."""

    by_name: Mapping[str, PaymentPlatform]
    refund_sources: Sequence[RefundSource]


@asynccontextmanager
async def open_platforms(settings: Settings, database: Database) -> AsyncIterator[Platforms]:
    """This will open each platform of `BILLING_PLATFORMS`, without calling any. One without credentials refuses each
    call and warns; raises InvalidConfiguration where they cannot be right."""
    async with AsyncExitStack() as stack:
        by_name: dict[str, PaymentPlatform] = {}
        refund_sources: list[RefundSource] = []
        for name in settings.platforms:
            # The clients are imported where they are used: every command of the command line passes here.
            if name == "shopify":
                from billing_adapters.platforms.shopify import open_partner_refunds, open_shopify

                by_name[name] = await stack.enter_async_context(open_shopify(settings))
                if source := await stack.enter_async_context(open_partner_refunds(settings)):
                    refund_sources.append(source)
            elif name == "stripe":
                from billing_adapters.platforms.stripe_checkout import open_stripe

                by_name[name] = await stack.enter_async_context(open_stripe(settings))
            else:
                by_name[name] = _sandbox(settings, database)
        yield Platforms(by_name=by_name, refund_sources=refund_sources)


def _sandbox(settings: Settings, database: Database) -> SandboxPlatform:
    return SandboxPlatform(
        PostgresSandboxBooks(database),
        base_url=settings.base_url,
        secret=settings.signing_secret() or DEVELOPMENT_SECRET,
    )
