"""Which analyst asked a batch, and since when results of it are missing."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    version = sa.Column("version_hash", sa.String(), nullable=False, server_default="")
    missed = sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True)
    op.add_column("analyst_batches", version)
    op.add_column("analyst_batches", missed)
