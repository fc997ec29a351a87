"""Programs, participants, conversions and reversals, with the outbox.

No foreign keys: on the hot tables they cost more than the rows themselves, and a foreign key from participant to
participant would make everybody under one sponsor queue for the sponsor's row.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE program (
    program_id text PRIMARY KEY,
    title text NOT NULL,
    currency_code text NOT NULL,
    touch smallint NOT NULL,
    touch_window interval NOT NULL,
    binding smallint NOT NULL,
    bindable smallint NOT NULL,
    enroll_buyers boolean NOT NULL,
    default_sponsor_id text NOT NULL,
    allowed_hosts text[] NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);

CREATE SEQUENCE participant_key_seq;
CREATE TABLE participant (
    participant_key bigint PRIMARY KEY,
    program_id text NOT NULL,
    participant_id text NOT NULL,
    attributes jsonb NOT NULL,
    draft_hash bytea,
    sponsor_key bigint,
    upline bigint[] NOT NULL,
    bind_time timestamptz,
    bind_source smallint NOT NULL,
    bind_link_id text NOT NULL,
    bind_code text NOT NULL,
    bind_channel text NOT NULL,
    bind_campaign text NOT NULL,
    create_time timestamptz NOT NULL,
    UNIQUE (program_id, participant_id),
    CHECK (sponsor_key <> participant_key),
    CHECK (cardinality(upline) <= 64),
    CHECK (sponsor_key IS NULL AND cardinality(upline) = 0 OR sponsor_key = upline[1])
);
CREATE INDEX participant_by_sponsor ON participant (sponsor_key, bind_time, participant_key);

CREATE SEQUENCE conversion_key_seq;
CREATE TABLE conversion (
    conversion_key bigint PRIMARY KEY,
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    body_hash bytea NOT NULL,
    event_type text NOT NULL,
    buyer_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    occurred_at timestamptz NOT NULL,
    draft bytea NOT NULL,
    referrer_id text NOT NULL,
    reason smallint NOT NULL,
    link_id text NOT NULL,
    code text NOT NULL,
    channel text NOT NULL,
    campaign text NOT NULL,
    losers bytea,
    reversed_minor bigint NOT NULL DEFAULT 0,
    reversed boolean NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL,
    UNIQUE (program_id, conversion_id),
    CHECK (reversed_minor BETWEEN 0 AND amount_minor)
);
CREATE INDEX conversion_by_program ON conversion (program_id, conversion_key);
CREATE INDEX conversion_by_buyer ON conversion (program_id, buyer_id, conversion_key);
CREATE INDEX conversion_unattributed ON conversion (program_id, conversion_key) WHERE referrer_id = '';

CREATE SEQUENCE reversal_key_seq;
CREATE TABLE reversal (
    reversal_key bigint PRIMARY KEY,
    program_id text NOT NULL,
    reversal_id text NOT NULL,
    conversion_id text NOT NULL,
    body_hash bytea NOT NULL,
    draft bytea NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    lines jsonb NOT NULL,
    completes boolean NOT NULL,
    pending boolean NOT NULL,
    create_time timestamptz NOT NULL,
    UNIQUE (program_id, reversal_id)
);
CREATE INDEX reversal_by_conversion ON reversal (program_id, conversion_id, reversal_key);

CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    message_id text NOT NULL,
    message_type text NOT NULL,
    payload bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    publish_time timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (outbox_id) WHERE publish_time IS NULL;

CREATE TABLE request (
    method text NOT NULL,
    request_id text NOT NULL,
    body_hash bytea NOT NULL,
    response bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (method, request_id)
);

CREATE TABLE dead_letter (
    consumer text NOT NULL,
    message_id text NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    park_time timestamptz,
    PRIMARY KEY (consumer, message_id)
);

GRANT SELECT, INSERT, UPDATE ON program, participant, conversion, reversal, request, dead_letter TO upline_attribution;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO upline_attribution;
GRANT USAGE ON SEQUENCE participant_key_seq, conversion_key_seq, reversal_key_seq TO upline_attribution;
"""


def upgrade() -> None:
    """Creates everything; programs are few, so only the growing tables have indexes of their own."""
    op.execute(STATEMENTS)
