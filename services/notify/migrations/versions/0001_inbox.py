"""Causes, inbox entries, texts and preferences."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE program (
    program_id text PRIMARY KEY,
    texts_version integer NOT NULL
);

CREATE TABLE texts (
    program_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    content bytea NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, version)
);

CREATE TABLE preference (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    locale text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, participant_id)
);

CREATE TABLE cause (
    entry_id uuid PRIMARY KEY,
    program_id text NOT NULL,
    event_id text NOT NULL,
    conversion_id text NOT NULL,
    event_type text NOT NULL,
    buyer_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    assets jsonb NOT NULL,
    contest_id text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    texts_version integer NOT NULL,
    create_time timestamptz NOT NULL,
    writer xid8 NOT NULL DEFAULT pg_current_xact_id(),
    writer_horizon xid8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot()),
    UNIQUE (program_id, event_id)
);
CREATE INDEX cause_writer ON cause (writer);

CREATE TABLE inbox_entry (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    entry_id uuid NOT NULL,
    kind smallint NOT NULL,
    level integer NOT NULL,
    amounts jsonb NOT NULL,
    hold_until timestamptz,
    rank integer,
    read boolean NOT NULL DEFAULT false,
    PRIMARY KEY (program_id, participant_id, entry_id)
);

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
"""

_GRANTS = """
GRANT SELECT, INSERT, UPDATE (texts_version) ON program TO upline_notify;
GRANT SELECT, INSERT ON texts TO upline_notify;
GRANT SELECT, INSERT, UPDATE ON preference TO upline_notify;
GRANT SELECT, INSERT, DELETE ON cause TO upline_notify;
GRANT SELECT, INSERT, UPDATE (read), DELETE ON inbox_entry TO upline_notify;
GRANT SELECT, INSERT, UPDATE ON request TO upline_notify;
GRANT SELECT, INSERT, UPDATE ON dead_letter TO upline_notify;
"""


def upgrade() -> None:
    """Creates the tables of the service and says what its role may do with them."""
    op.execute(_TABLES)
    op.execute(_GRANTS)


def downgrade() -> None:
    """Drops them."""
    op.execute("DROP TABLE inbox_entry, cause, preference, texts, program, request, dead_letter")
