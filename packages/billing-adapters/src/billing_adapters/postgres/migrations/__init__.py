"""The schema's history, as Alembic scripts inside the package, and how to bring a database to any point of it."""

from billing_adapters.postgres.migrations.upgrading import current, downgrade, head, pending, upgrade

__all__ = ["current", "downgrade", "head", "pending", "upgrade"]
