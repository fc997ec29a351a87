"""Webhooks, and the deliveries of what people are told."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A delivery is written with the entry that it tells of, and only for a program that has a webhook. Its order is that of
# `delivery_no`, which the database gives: ids begin with the clock of whichever process wrote them. What waits for one
# participant at one endpoint is a lane, in which one delivery is sent after the other: whoever takes the lane's row
# works on it, until `due_time`, when it is anybody's again. No index but the first ones has what is delivered.
STATEMENTS = """
CREATE TABLE webhook (
    webhook_id uuid PRIMARY KEY,
    program_id text NOT NULL,
    url text NOT NULL,
    kinds smallint[] NOT NULL,
    state smallint NOT NULL,
    switched_off_reason text NOT NULL DEFAULT '',
    secret_version integer NOT NULL DEFAULT 1,
    previous_secret_until timestamptz,
    failure_count integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    rest_until timestamptz,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_of_program ON webhook (program_id, webhook_id);
COMMENT ON TABLE webhook IS 'The addresses to which everything is sent that the participants of a program are told.';
COMMENT ON COLUMN webhook.webhook_id IS 'The id of the webhook.';
COMMENT ON COLUMN webhook.program_id IS 'The program.';
COMMENT ON COLUMN webhook.url IS 'Where it is.';
COMMENT ON COLUMN webhook.kinds IS 'The kinds that it wants; empty for all.';
COMMENT ON COLUMN webhook.state IS 'Whether anything is sent to it: 1 enabled, 2 disabled, 3 switched off by itself.';
COMMENT ON COLUMN webhook.switched_off_reason IS 'Why it was switched off by itself; empty otherwise.';
COMMENT ON COLUMN webhook.secret_version IS
    'Which secret is the newest. None is stored: each is derived from the secret of the installation.';
COMMENT ON COLUMN webhook.previous_secret_until IS 'Until when the secret before the newest one signs too.';
COMMENT ON COLUMN webhook.failure_count IS 'How often it failed in a row.';
COMMENT ON COLUMN webhook.failing_since IS 'When the first of these failures was.';
COMMENT ON COLUMN webhook.rest_until IS 'Nothing is sent to it before this time.';
COMMENT ON COLUMN webhook.create_time IS 'When it was added.';

CREATE TABLE delivery (
    delivery_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL UNIQUE,
    program_id text NOT NULL,
    entry_id uuid NOT NULL,
    participant_id text NOT NULL,
    channel smallint NOT NULL,
    endpoint_id uuid NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    try_count integer NOT NULL DEFAULT 0,
    due_time timestamptz,
    error text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (entry_id, participant_id, channel, endpoint_id)
);
CREATE INDEX delivery_of_program ON delivery (program_id, state, delivery_no);
CREATE INDEX delivery_of_participant ON delivery (program_id, participant_id, delivery_no);
CREATE INDEX delivery_waiting ON delivery (endpoint_id, participant_id, delivery_no) WHERE state IN (1, 2, 3);
CREATE INDEX delivery_parked ON delivery (program_id, update_time) WHERE state = 5;
COMMENT ON TABLE delivery IS 'What is sent of a cause to one participant, or about them, by one channel to one endpoint.';
COMMENT ON COLUMN delivery.delivery_no IS 'The order in which deliveries of a participant are sent to an endpoint.';
COMMENT ON COLUMN delivery.delivery_id IS 'The id of the delivery, by which its receiver knows it again.';
COMMENT ON COLUMN delivery.program_id IS 'The program.';
COMMENT ON COLUMN delivery.entry_id IS 'The cause, by the id of its entries.';
COMMENT ON COLUMN delivery.participant_id IS 'The participant who is told.';
COMMENT ON COLUMN delivery.channel IS 'The way in which it is sent: 1 webhook.';
COMMENT ON COLUMN delivery.endpoint_id IS 'Where to: the id of a webhook.';
COMMENT ON COLUMN delivery.kind IS 'The kind of thing that it tells of.';
COMMENT ON COLUMN delivery.state IS 'What became of it: 1 pending, 2 sending, 3 retrying, 4 delivered, 5 parked.';
COMMENT ON COLUMN delivery.attempts IS 'How often it was tried.';
COMMENT ON COLUMN delivery.try_count IS 'How often of these since it was written, or since a person had it sent again.';
COMMENT ON COLUMN delivery.due_time IS 'When it is tried next, earliest, while it is retrying.';
COMMENT ON COLUMN delivery.error IS 'What was wrong last; empty where nothing was.';
COMMENT ON COLUMN delivery.create_time IS 'When it was written.';
COMMENT ON COLUMN delivery.update_time IS 'When it came into its state.';

CREATE TABLE delivery_lane (
    endpoint_id uuid NOT NULL,
    participant_id text NOT NULL,
    due_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint_id, participant_id)
);
CREATE INDEX delivery_lane_due ON delivery_lane (endpoint_id, due_time);
COMMENT ON TABLE delivery_lane IS 'For whom something waits at which endpoint.';
COMMENT ON COLUMN delivery_lane.endpoint_id IS 'The endpoint.';
COMMENT ON COLUMN delivery_lane.participant_id IS 'The participant.';
COMMENT ON COLUMN delivery_lane.due_time IS
    'When its first delivery may be sent, earliest; while a process works on it, when another one may.';

CREATE TABLE delivery_attempt (
    delivery_no bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    attempt integer NOT NULL,
    attempt_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms integer,
    http_status integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_no, attempt)
);
COMMENT ON TABLE delivery_attempt IS 'The newest 50 attempts of each delivery.';
COMMENT ON COLUMN delivery_attempt.delivery_no IS 'The delivery.';
COMMENT ON COLUMN delivery_attempt.attempt IS 'The number of the attempt, from 1.';
COMMENT ON COLUMN delivery_attempt.attempt_time IS 'When it began.';
COMMENT ON COLUMN delivery_attempt.duration_ms IS
    'How long it took; null while it lasts, and where the process died meanwhile.';
COMMENT ON COLUMN delivery_attempt.http_status IS 'The status of the answer; 0 where none came.';
COMMENT ON COLUMN delivery_attempt.error IS 'What was wrong; empty where nothing was.';

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook, delivery, delivery_lane, delivery_attempt TO upline_notify;
"""


def upgrade() -> None:
    """Makes the tables."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
