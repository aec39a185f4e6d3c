"""The schema's revision as a number."""

from billing_adapters.postgres import migrations
from billing_adapters.postgres.revisions import newest_revision


def test_the_newest_is_the_one_migrations_go_to() -> None:
    """Read from the names of files, without loading what migrates."""
    assert f"{newest_revision():04}" == migrations.head()
