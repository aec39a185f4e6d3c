"""`billing token`."""

from typing import Annotated

import typer

from billing_cli.options import Json, read_duration


def token(
    merchant: Annotated[str, typer.Option(help="The merchant the token acts for.")],
    platform: Annotated[str, typer.Option(help="The merchant's platform: shopify, stripe or sandbox.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="Scopes, with spaces between or repeated. Default: all of them.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is valid, e.g. 15m, 1h, 7d.")] = "1h",
    subject: Annotated[str, typer.Option(help="Who the caller says it is.")] = "billing-cli",
    json: Json = False,
) -> None:
    """Sign a development token with the configured secret."""
    from billing_adapters.settings import KNOWN_PLATFORMS, load_settings
    from billing_cli.running import refusals
    from billing_cli.terminal import print_json, print_lines
    from billing_cli.tokens import ALL_SCOPES, Signer
    from billing_core.domain.merchants import MERCHANT_ID

    if not MERCHANT_ID.fullmatch(merchant):
        raise typer.BadParameter("a merchant id is 1-128 characters of A-Z a-z 0-9 . _ : -", param_hint="--merchant")
    if platform not in KNOWN_PLATFORMS:
        raise typer.BadParameter(f"choose one of {', '.join(KNOWN_PLATFORMS)}", param_hint="--platform")
    scopes = [each for given in scope or ALL_SCOPES for each in given.split()] or list(ALL_SCOPES)
    if unknown := set(scopes) - set(ALL_SCOPES):
        hint = f"{', '.join(sorted(unknown))}: choose from {', '.join(ALL_SCOPES)}"
        raise typer.BadParameter(hint, param_hint="--scope")
    lifetime = read_duration(ttl)
    with refusals():
        signer = Signer.of(load_settings())
        signed = signer.sign(merchant_id=merchant, platform=platform, scopes=scopes, ttl=lifetime, subject=subject)
        if json:
            expires_in_s = int(lifetime.total_seconds())
            print_json({"token": signed, "expires_in_s": expires_in_s, "scope": " ".join(scopes)})
        else:
            print_lines(signed)
