"""a summary for each paper, and an index for its status"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("papers", sa.Column("summary", sa.String))
    op.create_index("papers_status", "papers", ["status"])
