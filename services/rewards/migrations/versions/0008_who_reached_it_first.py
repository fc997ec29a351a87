"""Who reached a score first among those of one time."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Scores of before stay in the order of their times and names: 0 is the same for all. The version before goes on adding
# without the column, and reads its ranking by the same index, sorting only what is of one time.
STATEMENTS = """
ALTER TABLE contest_score ADD COLUMN reach_position bigint NOT NULL DEFAULT 0;
DROP INDEX contest_ranking;
CREATE INDEX contest_ranking ON contest_score (program_id, contest_id, score DESC, reach_time, reach_position, participant_id);
"""


def upgrade() -> None:
    """Adds the column, and puts it into the index of the ranking."""
    op.execute(STATEMENTS)
