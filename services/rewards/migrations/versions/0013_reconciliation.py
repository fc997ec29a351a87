"""What was recorded is compared with what its reader has settled."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# The version before looks at nothing here, and removes rows of the outbox by their age alone.
STATEMENTS = """
CREATE TABLE reconciliation (
    consumer text PRIMARY KEY,
    settled_id bigint NOT NULL DEFAULT 0,
    again_id bigint NOT NULL DEFAULT 0,
    look_time timestamptz NOT NULL
);
COMMENT ON TABLE reconciliation IS 'How far the outbox was compared with what each reader of its stream has settled.';
COMMENT ON COLUMN reconciliation.consumer IS 'The reader: its durable consumer.';
COMMENT ON COLUMN reconciliation.settled_id IS
    'Rows of the outbox up to this one were compared: the reader has them, or they are dead letters or gaps.';
COMMENT ON COLUMN reconciliation.again_id IS 'Rows up to this one were compared a second time.';
COMMENT ON COLUMN reconciliation.look_time IS 'When a process looked last.';
CREATE TABLE gap (
    consumer text NOT NULL,
    program_id text NOT NULL,
    event_id text NOT NULL,
    outbox_id bigint NOT NULL,
    find_time timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    publish_time timestamptz,
    set_aside boolean NOT NULL DEFAULT false,
    close_time timestamptz,
    PRIMARY KEY (consumer, program_id, event_id)
);
CREATE INDEX gap_open ON gap (outbox_id) WHERE close_time IS NULL;
COMMENT ON TABLE gap IS
    'Facts that were recorded and published, and that a reader did not have: their events are published again until it '
    'has.';
COMMENT ON COLUMN gap.consumer IS 'The reader: its durable consumer.';
COMMENT ON COLUMN gap.program_id IS 'The program.';
COMMENT ON COLUMN gap.event_id IS 'The event that tells of the fact.';
COMMENT ON COLUMN gap.outbox_id IS 'The row of the outbox that holds the event.';
COMMENT ON COLUMN gap.find_time IS 'When it was found missing.';
COMMENT ON COLUMN gap.attempts IS 'How often its event was published again.';
COMMENT ON COLUMN gap.publish_time IS 'When its event was published again last; NULL before.';
COMMENT ON COLUMN gap.set_aside IS 'Whether the reader has it as a dead letter.';
COMMENT ON COLUMN gap.close_time IS 'When it was found that the reader has the fact; NULL while it has not.';
GRANT SELECT, INSERT, UPDATE ON reconciliation TO upline_rewards;
GRANT SELECT, INSERT, UPDATE, DELETE ON gap TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the tables."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
