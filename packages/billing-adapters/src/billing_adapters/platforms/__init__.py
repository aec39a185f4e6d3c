"""The payment platforms a deployment has configured."""

from collections.abc import Mapping

from billing_adapters.platforms.sandbox import SandboxPlatform
from billing_adapters.platforms.sandbox_books import PostgresSandboxBooks
from billing_adapters.resources import Resources
from billing_adapters.settings import DEVELOPMENT_SECRET, InvalidConfiguration, Settings
from billing_core.ports.platforms import PaymentPlatform


def build_platforms(settings: Settings, resources: Resources) -> Mapping[str, PaymentPlatform]:
    """This will give each platform of `BILLING_PLATFORMS` by its name.

    Raises InvalidConfiguration for one this version has no adapter for, rather than taking purchases it cannot serve.
    """
    platforms: dict[str, PaymentPlatform] = {}
    for name in settings.platforms:
        if name != "sandbox":
            raise InvalidConfiguration(f"BILLING_PLATFORMS: this version has no {name} adapter yet; take {name} out")
        platforms[name] = SandboxPlatform(
            PostgresSandboxBooks(resources.database),
            base_url=settings.base_url,
            secret=settings.signing_secret() or DEVELOPMENT_SECRET,
        )
    return platforms
