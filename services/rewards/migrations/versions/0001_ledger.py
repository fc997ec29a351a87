"""Plans, conversions, rewards and the ledger."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE plan_version (
    program_id text NOT NULL,
    version integer NOT NULL,
    currency_code text NOT NULL,
    plan bytea NOT NULL,
    effective_time timestamptz,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, version)
);
CREATE TABLE conversion (
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    amount_minor bigint NOT NULL,
    record_time timestamptz,
    plan_version integer NOT NULL,
    first_reward_id uuid UNIQUE,
    event bytea,
    PRIMARY KEY (program_id, conversion_id)
);
CREATE TABLE reversal (
    program_id text NOT NULL,
    reversal_id text NOT NULL,
    conversion_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    completes boolean NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, reversal_id)
);
CREATE INDEX reversal_by_conversion ON reversal (program_id, conversion_id);
CREATE TABLE reward (
    reward_id uuid NOT NULL,
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    rule_id text NOT NULL,
    beneficiary_id text NOT NULL,
    level smallint NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    hold_until timestamptz,
    plan_version integer NOT NULL,
    -- The one index of the largest table. The column that differs most comes first: fewer comparisons for each row.
    PRIMARY KEY (beneficiary_id, program_id, reward_id)
) PARTITION BY RANGE (reward_id);
CREATE TABLE reward_revision (
    reward_id uuid NOT NULL,
    reversal_id text NOT NULL,
    delta_minor bigint NOT NULL CHECK (delta_minor < 0),
    record_time timestamptz NOT NULL,
    PRIMARY KEY (reward_id, reversal_id)
);
CREATE TABLE transfer (
    transfer_id uuid PRIMARY KEY,
    program_id text NOT NULL,
    kind smallint NOT NULL,
    participant_id text NOT NULL,
    debit smallint NOT NULL,
    credit smallint NOT NULL CHECK (credit <> debit),
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    reward_id uuid NOT NULL,
    cause_id text NOT NULL
) PARTITION BY RANGE (transfer_id);
CREATE INDEX transfer_by_participant ON transfer (program_id, participant_id, transfer_id);
CREATE TABLE balance (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    place smallint NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (program_id, participant_id, place, asset)
);
CREATE TABLE balance_delta (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    place smallint NOT NULL,
    asset text NOT NULL,
    delta_minor bigint NOT NULL
);
CREATE INDEX balance_delta_by_participant ON balance_delta (participant_id, program_id);
CREATE TABLE hold (
    program_id text NOT NULL,
    conversion_id text NOT NULL,
    due_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, conversion_id, due_time)
);
CREATE INDEX hold_due ON hold (due_time);
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

-- Ids begin with 48 bits of milliseconds, so a month is a range of ids. Rows of other times go to the default partition.
CREATE FUNCTION month_id(month timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
CREATE FUNCTION ensure_partition(parent text, moment timestamptz) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = rewards AS $$
DECLARE
    first timestamptz := date_trunc('month', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    next timestamptz := (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    partition text := parent || '_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMM');
    has_rows boolean;
BEGIN
    -- Two processes that make the same one would each hold what the other waits for.
    PERFORM pg_advisory_xact_lock(hashtextextended('ensure_partition', 0));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    -- A month of which rows went to the default partition stays there: nobody may move them.
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= %L AND %I < %L)',
        parent || '_default', parent || '_id', month_id(first), parent || '_id', month_id(next)) INTO has_rows;
    IF NOT has_rows THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            partition, parent, month_id(first), month_id(next));
    END IF;
END $$;
CREATE TABLE reward_default PARTITION OF reward DEFAULT;
CREATE TABLE transfer_default PARTITION OF transfer DEFAULT;
SELECT ensure_partition(parent, now() + make_interval(months => n))
FROM generate_series(0, 2) AS n, unnest(ARRAY['reward', 'transfer']) AS parent;

-- Every movement of value: a reward is its own accrual, and what moves later is a transfer.
CREATE VIEW movement AS
SELECT reward_id AS transfer_id, program_id, 1::smallint AS kind, beneficiary_id AS participant_id, 1::smallint AS debit,
    CASE WHEN hold_until IS NULL THEN 3::smallint ELSE 2::smallint END AS credit, asset, amount_minor, reward_id,
    'conversion:' || program_id || '/' || conversion_id AS cause_id
FROM reward
UNION ALL
SELECT transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id, cause_id FROM transfer;

-- The ledger for people: every account by name.
CREATE VIEW ledger AS
SELECT transfer_id, program_id, asset, amount_minor, cause_id, reward_id,
    (ARRAY['accrual', 'release', 'reversal'])[kind] AS kind,
    CASE debit WHEN 1 THEN 'issuance' WHEN 2 THEN 'held:' || participant_id ELSE 'available:' || participant_id END AS debit_account,
    CASE credit WHEN 1 THEN 'issuance' WHEN 2 THEN 'held:' || participant_id ELSE 'available:' || participant_id END AS credit_account
FROM movement;

-- Transfers, rewards and their revisions are facts: the service may add to them, never change or remove one.
GRANT SELECT, INSERT ON plan_version, reward, reward_revision, transfer, reversal TO upline_rewards;
GRANT SELECT, INSERT, UPDATE ON conversion, balance, request, dead_letter TO upline_rewards;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO upline_rewards;
GRANT SELECT, INSERT, DELETE, UPDATE ON balance_delta, hold TO upline_rewards;
GRANT SELECT ON movement, ledger TO upline_rewards;
REVOKE ALL ON FUNCTION ensure_partition(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partition(text, timestamptz) TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the tables, and says what the service's role may do."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
