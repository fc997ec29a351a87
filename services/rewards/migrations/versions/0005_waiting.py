"""Holds that wait for an event or for a person's approval, and the events that some hold may wait for."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
CREATE TABLE hold_wait (
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    mark timestamptz NOT NULL,
    rule_id text NOT NULL,
    buyer_id text NOT NULL,
    event_type text NOT NULL,
    event_time timestamptz,
    approval smallint NOT NULL,
    decide_time timestamptz,
    reason text NOT NULL DEFAULT '',
    position bigint,
    earliest timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    end_time timestamptz,
    PRIMARY KEY (program_id, conversion_id, mark)
);
CREATE INDEX hold_wait_ready ON hold_wait (earliest)
    WHERE end_time IS NULL AND approval IN (0, 2) AND (event_type = '' OR event_time IS NOT NULL);
CREATE INDEX hold_wait_for_event ON hold_wait (program_id, buyer_id, event_type) WHERE event_type <> '' AND event_time IS NULL;
CREATE INDEX hold_wait_for_approval ON hold_wait (program_id, earliest, conversion_id) WHERE end_time IS NULL AND approval = 1;

CREATE TABLE awaited_event (
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    buyer_id text NOT NULL,
    event_type text NOT NULL,
    target_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, conversion_id)
);
CREATE INDEX awaited_event_of_buyer ON awaited_event (program_id, buyer_id, event_type);

GRANT SELECT, INSERT, UPDATE ON hold_wait TO upline_rewards;
GRANT SELECT, INSERT ON awaited_event TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the tables, and says what the service's role may do."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
