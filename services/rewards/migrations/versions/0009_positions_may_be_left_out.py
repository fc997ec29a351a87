"""The version before can copy the table of scores and fill the copy."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drops NOT NULL for the version before, which rebuilds beside tables made with LIKE, which takes NOT NULL over,
    but not the default of a column that it does not name. Rows of the table itself have a position all the same: there
    the default counts."""
    op.execute("ALTER TABLE contest_score ALTER COLUMN reach_position DROP NOT NULL")
