"""What Alembic runs: the migrations, in the transaction that it is handed."""

from alembic import context

from trading_assets.adapters.ledger.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
