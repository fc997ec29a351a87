"""Referrers may give a part of their rewards to whoever comes by their link or code; a bind keeps the part as it was."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A constant default is kept in the catalogue, so that no row is rewritten however many participants there are.
STATEMENTS = """
ALTER TABLE link ADD COLUMN share_percent text NOT NULL DEFAULT '';
ALTER TABLE code ADD COLUMN share_percent text NOT NULL DEFAULT '';
ALTER TABLE participant ADD COLUMN bind_share_percent text NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    """Adds the columns. Nobody chose anything before; the grants on the tables hold for their new columns."""
    op.execute(STATEMENTS)
