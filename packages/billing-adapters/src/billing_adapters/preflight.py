"""What is looked at once before a process serves in production."""

from billing_adapters.logs import get_logger
from billing_adapters.postgres.database import open_database, role_is_unbound
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.settings import InvalidConfiguration, Settings
from billing_core.errors import StorageUnavailable


async def refuse_unbound_role(settings: Settings) -> None:
    """This will look, in production, whether our Postgres role may do anything or see every row.

    Raises InvalidConfiguration where it may. Where Postgres is away nothing is known: the process starts and waits
    for it.
    """
    if settings.env != "production":
        return
    url = settings.database_url.get_secret_value()
    try:
        async with open_database(url, pool_size=1, application_name="billing-preflight") as database:
            unbound = await role_is_unbound(database)
    except StorageUnavailable as away:
        get_logger("preflight").warning("role.not_checked", reason=str(away))
        return
    if unbound:
        raise InvalidConfiguration(
            "refusing to start in production:\n- the role in BILLING_DATABASE_URL is a superuser or has BYPASSRLS; "
            "make one that is not (NOSUPERUSER NOBYPASSRLS): `billing db roles` makes one for each process"
        )


async def refuse_another_redaction_key(settings: Settings) -> None:
    """This will look whether shops were redacted under another key than `BILLING_REDACTION_KEY`, and warn in
    production where there is none.

    Raises InvalidConfiguration where they were: a shop that comes back would not be known again, and be given a second
    trial. Where Postgres is away nothing is known: the process starts and waits for it.
    """
    if settings.env == "production" and settings.redaction_key is None:
        get_logger("preflight").warning("redaction.no_key", remedy="set BILLING_REDACTION_KEY (docs/privacy.md)")
    url = settings.database_url.get_secret_value()
    try:
        async with open_database(
            url, pool_size=1, application_name="billing-preflight", every_merchant=True
        ) as database:
            used = await PostgresMerchantData(database).redaction_keys()
    except StorageUnavailable as away:
        get_logger("preflight").warning("redaction_key.not_checked", reason=str(away))
        return
    if used - ({settings.pseudonyms.key_id} if settings.pseudonyms else set()):
        raise InvalidConfiguration(
            "refusing to start:\n- shops were redacted with another BILLING_REDACTION_KEY than this one; set the one "
            "that was used, or a shop that comes back is given a second trial"
        )
