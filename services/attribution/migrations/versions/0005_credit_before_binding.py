"""Who is credited for what occurred before a buyer was bound."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. No program has stated it yet, and a service of the version before, which does not know it,
    leaves it alone."""
    op.execute("ALTER TABLE program ADD COLUMN credit_before_binding smallint NOT NULL DEFAULT 0")
