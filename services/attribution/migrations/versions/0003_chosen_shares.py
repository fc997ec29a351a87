"""The part of his reward that a referrer gives to whoever comes by his link or code, and what of it is pinned at the bind."""

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
    """Nobody chose anything before; the service's grants are on the tables and hold for their new columns."""
    op.execute(STATEMENTS)
