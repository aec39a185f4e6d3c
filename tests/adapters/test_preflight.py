"""What a process looks at before it serves: whether redacted shops would be known again."""

from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from billing_adapters.preflight import refuse_another_redaction_key
from billing_adapters.settings import InvalidConfiguration, Settings

KEY = "sample-redaction-key-of-these-tests"
NOTHING_LISTENS = "postgresql://billing:sample@127.0.0.1:1/billing"


def settings(url: str, **values: Any) -> Settings:
    """A configuration of this database."""
    return Settings(_env_file=None, database_url=url, **values)


async def redacted(url: str, key_id: str | None) -> None:
    """This will record that something was redacted with a key."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "insert into privacy_records (record_id, at, what, platform, actor, reason, key_id)"
            " values (gen_random_uuid(), now(), 'redacted', 'shopify', 'a', '', $1)",
            key_id,
        )
    finally:
        await connection.close()


def told(lines: Any) -> list[str]:
    """What was said."""
    return [each["event"] for each in lines]


@pytest.mark.parametrize("key", [None, KEY])
async def test_where_nothing_was_redacted_any_key_will_do(database_url: str, key: str | None) -> None:
    """And none, too."""
    await redacted(database_url, None)

    with capture_logs() as lines:
        await refuse_another_redaction_key(settings(database_url, redaction_key=key))

    assert told(lines) == []


async def test_the_key_that_was_used_will_do(database_url: str) -> None:
    """However often it was."""
    configured = settings(database_url, redaction_key=KEY)
    assert configured.pseudonyms is not None
    for _ in range(2):
        await redacted(database_url, configured.pseudonyms.key_id)

    await refuse_another_redaction_key(configured)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("also_with_it", [True, False])
async def test_another_key_is_refused(database_url: str, key: str | None, also_with_it: bool) -> None:
    """Also where some were redacted with this one; and so is none at all."""
    configured = settings(database_url, redaction_key=KEY)
    assert configured.pseudonyms is not None
    await redacted(database_url, "another")
    if also_with_it:
        await redacted(database_url, configured.pseudonyms.key_id)

    with pytest.raises(InvalidConfiguration, match="another BILLING_REDACTION_KEY"):
        await refuse_another_redaction_key(settings(database_url, redaction_key=key))


async def test_production_is_warned_without_a_key(database_url: str) -> None:
    """It starts all the same: nothing was redacted."""
    with capture_logs() as lines:
        await refuse_another_redaction_key(settings(database_url, env="production"))

    assert told(lines) == ["redaction.no_key"]


async def test_without_postgres_it_starts_and_says_so() -> None:
    """As with everything else that is away."""
    with capture_logs() as lines:
        await refuse_another_redaction_key(settings(NOTHING_LISTENS, redaction_key=KEY))

    assert told(lines) == ["redaction_key.not_checked"]


@pytest.mark.parametrize("key", ["short", "k" * 31])
def test_a_key_that_could_be_guessed_is_refused_and_not_told(key: str) -> None:
    """Wherever it runs."""
    with pytest.raises(ValueError, match="at least 32 bytes") as refused:
        settings(NOTHING_LISTENS, redaction_key=key)

    assert "openssl rand" in str(refused.value)
