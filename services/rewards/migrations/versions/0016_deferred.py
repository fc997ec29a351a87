"""Facts that take long to settle wait in a table of their own."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# The version before keeps such facts in memory, and knows nothing of what waits here: what it settles of the same
# program meanwhile takes effect before that, as facts of two processes always might.
STATEMENTS = """
CREATE TABLE deferred (
    deferred_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id text NOT NULL,
    event_id text NOT NULL,
    payload bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    claim_time timestamptz,
    claimed_until timestamptz,
    claim_count integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    UNIQUE (program_id, event_id)
);
CREATE INDEX deferred_in_turn ON deferred (program_id, deferred_id);
CREATE INDEX deferred_claimed ON deferred (program_id) WHERE claimed_until IS NOT NULL;
COMMENT ON TABLE deferred IS
    'Facts that arrived and take long to settle, and facts of the same programs behind them. A row leaves when its fact '
    'is settled, or set aside as a dead letter.';
COMMENT ON COLUMN deferred.deferred_id IS 'Its place: facts of a program are settled in this order.';
COMMENT ON COLUMN deferred.program_id IS 'The program.';
COMMENT ON COLUMN deferred.event_id IS 'The event that tells of the fact.';
COMMENT ON COLUMN deferred.payload IS 'A message of the stream with this one event.';
COMMENT ON COLUMN deferred.create_time IS 'When it was put here, by the clock of the database.';
COMMENT ON COLUMN deferred.due_time IS 'It is not tried before this: it failed a moment ago.';
COMMENT ON COLUMN deferred.claim_time IS 'When a process took it up last; NULL before.';
COMMENT ON COLUMN deferred.claimed_until IS
    'Until then a process works on it, and nobody else on its program; NULL where none does.';
COMMENT ON COLUMN deferred.claim_count IS 'How often a process took it up and did not give it back unharmed.';
COMMENT ON COLUMN deferred.attempts IS 'How often it failed. What was claimed up more often took its process with it.';
COMMENT ON COLUMN deferred.error IS 'The error of the last try; NULL where none failed.';
GRANT SELECT, INSERT, UPDATE, DELETE ON deferred TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the table."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
