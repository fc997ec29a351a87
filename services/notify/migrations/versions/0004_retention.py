"""Rows that have lived their time may be removed."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Rows are found by reading a table in its own order, so no table gets an index for it, however long it is by now. The
# version before looks at nothing here: it goes on answering repeated calls for as long as their answers are there.
STATEMENTS = """
CREATE TABLE retention (
    life text PRIMARY KEY,
    sweep_time timestamptz NOT NULL,
    removed_before timestamptz NOT NULL
);
COMMENT ON TABLE retention IS
    'Until when rows that had lived their time were removed: what is older and not there may have been there.';
COMMENT ON COLUMN retention.life IS 'The name of a life in the code, which one table or several share.';
COMMENT ON COLUMN retention.sweep_time IS 'When the last sweep began.';
COMMENT ON COLUMN retention.removed_before IS 'Rows of before this time may be gone.';
GRANT SELECT, INSERT, UPDATE ON retention TO upline_notify;
GRANT DELETE ON dead_letter, program_request, request TO upline_notify;
"""


def upgrade() -> None:
    """Makes the table, and lets the service remove rows of those that grow."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
