"""Whether the redirect may keep a visitor id in browsers."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. No program has stated it yet, so none keeps an id without a visitor's consent; the version
    before does not read it."""
    op.execute("ALTER TABLE program ADD COLUMN visitor_cookie smallint NOT NULL DEFAULT 0")
