"""What Alembic runs for every command: the steps, on the connection `upgrading` hands over."""

from alembic import context

from billing_adapters.postgres.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
