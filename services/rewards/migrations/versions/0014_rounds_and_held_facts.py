"""A round of comparing is claimed for as long as it works; what it passed over is remembered."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The version before knows none of these: it claims by the time alone, and goes on from the same rows.
STATEMENTS = """
ALTER TABLE reconciliation ADD COLUMN round_id uuid;
ALTER TABLE reconciliation ADD COLUMN held_after bigint;
ALTER TABLE reconciliation ADD COLUMN held_made timestamptz;
COMMENT ON COLUMN reconciliation.look_time IS 'When a process looked last, or said last that its round works.';
COMMENT ON COLUMN reconciliation.round_id IS 'The round that is under way; NULL between two.';
COMMENT ON COLUMN reconciliation.held_after IS
    'The row before the first one of which a fact was passed over, because the stream held the message that tells it; '
    'NULL where none was since the stream was made. It says nothing any more once again_id is past it.';
COMMENT ON COLUMN reconciliation.held_made IS 'When the stream was made that held it.';
"""


def upgrade() -> None:
    """Adds the columns."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
