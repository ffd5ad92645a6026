"""papers and citations"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision, down_revision = "0001", None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "papers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("authors", JSONB, nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False, index=True),
        sa.Column("summary", sa.String),
        sa.Column("updated_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "citations",
        sa.Column("citing_id", sa.String, sa.ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("cited_id", sa.String, sa.ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True, index=True),
    )
