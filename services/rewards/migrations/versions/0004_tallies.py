"""Tallies: what tiers, caps, budgets and contests count from conversion to conversion; and what each conversion was decided with."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
-- In which order the facts of a program were settled that counts something, and the reversals of any conversion. Drawn behind the
-- program's lock or that of the conversion's row, so that a later transaction draws higher numbers.
CREATE SEQUENCE settle_position;
ALTER TABLE conversion ADD COLUMN position bigint, ADD COLUMN snapshot text;
ALTER TABLE reversal ADD COLUMN position bigint NOT NULL, ADD COLUMN lines text;

-- No index holds the value, so that an update stays on its page (heap-only tuples); the room for it is left there.
CREATE TABLE tally (
    program_id text NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    period text NOT NULL,
    value bigint NOT NULL,
    -- The column that differs most comes first: fewer comparisons for each row.
    PRIMARY KEY (subject, name, period, program_id)
) WITH (fillfactor = 70);
CREATE TABLE contest_score (
    program_id text NOT NULL,
    contest_id text NOT NULL,
    participant_id text NOT NULL,
    score bigint NOT NULL,
    reach_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, contest_id, participant_id)
);
CREATE INDEX contest_ranking ON contest_score (program_id, contest_id, score DESC, reach_time, participant_id);
CREATE TABLE contest_due (
    program_id text NOT NULL,
    contest_id text NOT NULL,
    due_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, contest_id)
);
CREATE INDEX contest_due_by_time ON contest_due (due_time);
CREATE TABLE contest_settlement (
    program_id text NOT NULL,
    contest_id text NOT NULL,
    plan_version integer NOT NULL,
    settle_time timestamptz NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (program_id, contest_id)
);

GRANT SELECT, INSERT, UPDATE ON tally, contest_score TO upline_rewards;
GRANT SELECT, INSERT, UPDATE, DELETE ON contest_due TO upline_rewards;
GRANT SELECT, INSERT ON contest_settlement TO upline_rewards;
GRANT USAGE ON SEQUENCE settle_position TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the tables, and says what the service's role may do."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
