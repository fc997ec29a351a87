"""Whether the redirect may keep a visitor id in browsers."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No program has said so yet, so none keeps one without a visitor's consent; the version before does not look."""
    op.execute("ALTER TABLE program ADD COLUMN visitor_cookie smallint NOT NULL DEFAULT 0")
