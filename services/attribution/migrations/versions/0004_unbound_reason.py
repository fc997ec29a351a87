"""Why somebody was enrolled without a sponsor."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. No reason was kept before: a constant default rewrites no row, and a service of the version
    before goes on without the column."""
    op.execute("ALTER TABLE participant ADD COLUMN unbound_reason smallint NOT NULL DEFAULT 0")
