"""Which clicks are visits, and which a machine's or a browser's that fetched ahead."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A constant default is kept in the catalogue: no partition is rewritten, and the version before, which names its
# columns, goes on writing. Its clicks count as visits, as they always did.
STATEMENTS = """
ALTER TABLE click ADD COLUMN kind smallint NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    """Adds the column. Clicks recorded before were not told apart, so they stay what they were: visits."""
    op.execute(STATEMENTS)
