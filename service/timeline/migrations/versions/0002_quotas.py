"""What API keys have used up."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    # Unlogged: written at every request, and not worth a sync; a crash empties it, and everyone starts full.
    unlogged = ["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else []
    op.create_table(
        "quotas",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("full_at_us", sa.BigInteger(), nullable=False),
        sa.Column("wait_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_quotas")),
        prefixes=unlogged,
    )


def downgrade() -> None:
    op.drop_table("quotas")
