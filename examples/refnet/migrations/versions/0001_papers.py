"""papers, citations and statistics"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "papers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("authors", JSONB, nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=False), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "citations",
        sa.Column("citing_id", sa.String, sa.ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("cited_id", sa.String, sa.ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "statistics",
        sa.Column("status", sa.String, primary_key=True),
        sa.Column("papers", sa.Integer, nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=False), nullable=False, server_default=sa.func.now()),
    )
