"""A derived reader is supplied over a stream of its own."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The version before supplies nobody.
STATEMENTS = """
CREATE TABLE supply (
    consumer text PRIMARY KEY,
    history_cursor text,
    sent_id bigint NOT NULL,
    read_id bigint,
    mark_id bigint,
    mark_number bigint,
    stream_made timestamptz NOT NULL,
    behind_since timestamptz
);
COMMENT ON TABLE supply IS 'How far each derived reader was supplied with what the outbox and the tables hold.';
COMMENT ON COLUMN supply.consumer IS 'The reader: the durable consumer of its own stream.';
COMMENT ON COLUMN supply.history_cursor IS
    'Where it goes on to be told what the tables hold; NULL when it was told all of it.';
COMMENT ON COLUMN supply.sent_id IS
    'The row of the outbox up to which it was sent; while it is told what the tables hold, the row behind which the '
    'outbox goes on.';
COMMENT ON COLUMN supply.read_id IS
    'The row up to which it has everything; NULL where it may lack some of what the tables hold.';
COMMENT ON COLUMN supply.mark_id IS
    'The row up to which it has everything when nothing is left on its stream up to mark_number.';
COMMENT ON COLUMN supply.mark_number IS 'The number of a message on its stream; NULL where none is waited for.';
COMMENT ON COLUMN supply.stream_made IS 'When the stream was made on which it was sent.';
COMMENT ON COLUMN supply.behind_since IS 'Since when it has left as much unread as may be; NULL while it keeps up.';
GRANT SELECT, INSERT, UPDATE ON supply TO upline_attribution;
"""


def upgrade() -> None:
    """Makes the table."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
