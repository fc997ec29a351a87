"""Who is credited for what occurred before a buyer was bound."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No program has said so yet, which a service of the version before, that does not know the column, cannot change
    either."""
    op.execute("ALTER TABLE program ADD COLUMN credit_before_binding smallint NOT NULL DEFAULT 0")
