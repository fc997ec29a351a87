"""Wallets that are used: reserves, debts, redemptions, exchanges, gifts, payouts, expiry."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
-- A transfer need not be about a reward any more, and a gift reaches another participant's account of the same name.
ALTER TABLE transfer ALTER COLUMN reward_id DROP NOT NULL;
ALTER TABLE transfer ADD COLUMN recipient_id text;
ALTER TABLE transfer DROP CONSTRAINT transfer_check;
ALTER TABLE transfer ADD CONSTRAINT transfer_check CHECK (credit <> debit OR recipient_id <> participant_id);
CREATE INDEX transfer_by_recipient ON transfer (program_id, recipient_id, transfer_id) WHERE recipient_id IS NOT NULL;
CREATE INDEX balance_of_debtors ON balance (program_id, participant_id, asset) WHERE place = 5 AND amount_minor <> 0;

CREATE TABLE redemption (
    program_id text NOT NULL,
    redemption_id text NOT NULL,
    participant_id text NOT NULL,
    asset text NOT NULL,
    authorized_minor bigint NOT NULL CHECK (authorized_minor > 0),
    captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND authorized_minor),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    state smallint NOT NULL,
    order_id text NOT NULL,
    order_minor bigint NOT NULL CHECK (order_minor > 0),
    worth_minor bigint NOT NULL CHECK (worth_minor >= 0),
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, redemption_id)
);
CREATE INDEX redemption_by_order ON redemption (program_id, order_id);
CREATE INDEX redemption_open ON redemption (program_id, participant_id, asset) WHERE state = 1;
CREATE TABLE redemption_refund (
    program_id text NOT NULL,
    refund_id text NOT NULL,
    redemption_id text NOT NULL,
    asked_minor bigint NOT NULL CHECK (asked_minor >= 0),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, refund_id)
);
CREATE TABLE operation (
    program_id text NOT NULL,
    kind smallint NOT NULL,
    operation_id text NOT NULL,
    body_hash bytea NOT NULL,
    response bytea NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, kind, operation_id)
);
CREATE TABLE payout (
    program_id text NOT NULL,
    payout_id text NOT NULL,
    participant_id text NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    fee_minor bigint NOT NULL CHECK (fee_minor >= 0 AND fee_minor < amount_minor),
    method text NOT NULL,
    destination text NOT NULL,
    state smallint NOT NULL,
    provider_reference text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    sends integer NOT NULL DEFAULT 0,
    send_time timestamptz,
    batch_id text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, payout_id)
);
CREATE INDEX payout_by_time ON payout (program_id, create_time, payout_id);
CREATE INDEX payout_by_participant ON payout (program_id, participant_id, create_time, payout_id);
CREATE INDEX payout_open ON payout (program_id, participant_id, asset) WHERE state IN (1, 2, 3, 5);
CREATE INDEX payout_to_send ON payout (send_time) WHERE send_time IS NOT NULL;
CREATE INDEX payout_approved ON payout (program_id, payout_id) WHERE state = 2;
CREATE TABLE payout_attempt (
    program_id text NOT NULL,
    payout_id text NOT NULL,
    attempt integer NOT NULL,
    batch_id text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, payout_id, attempt)
);
CREATE INDEX payout_attempt_by_batch ON payout_attempt (program_id, batch_id, payout_id) WHERE batch_id <> '';
CREATE TABLE payout_batch (
    program_id text NOT NULL,
    batch_id text NOT NULL,
    method text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, batch_id)
);
CREATE TABLE expiring (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    asset text NOT NULL,
    check_time timestamptz NOT NULL,
    warned_until timestamptz,
    PRIMARY KEY (program_id, participant_id, asset)
);
CREATE INDEX expiring_due ON expiring (program_id, asset, check_time);

DROP VIEW ledger;
DROP VIEW movement;
-- Every movement of value: a reward is its own accrual, and what moves later is a transfer.
CREATE VIEW movement AS
SELECT reward_id AS transfer_id, program_id, 1::smallint AS kind, beneficiary_id AS participant_id, 1::smallint AS debit,
    CASE WHEN hold_until IS NULL THEN 3::smallint ELSE 2::smallint END AS credit, asset, amount_minor, reward_id,
    'conversion:' || program_id || '/' || conversion_id AS cause_id, NULL::text AS recipient_id
FROM reward
UNION ALL
SELECT transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id, cause_id, recipient_id FROM transfer;

CREATE FUNCTION account_name(place smallint, participant_id text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['issuance', 'held:', 'available:', 'reserved:', 'debt:', 'redeemed', 'paid_out', 'fees', 'expired', 'exchange'])[place]
        || CASE WHEN place BETWEEN 2 AND 5 THEN participant_id ELSE '' END
$$;
-- The ledger for people: every account by name.
CREATE VIEW ledger AS
SELECT transfer_id, program_id, asset, amount_minor, cause_id, reward_id,
    (ARRAY['accrual', 'release', 'reversal', 'debt_settlement', 'rejection', 'authorization', 'capture', 'void', 'redemption_refund',
        'purchase', 'exchange', 'gift', 'payout_request', 'payout', 'payout_fee', 'payout_return', 'expiry', 'prize'])[kind] AS kind,
    account_name(debit, participant_id) AS debit_account,
    account_name(credit, coalesce(recipient_id, participant_id)) AS credit_account
FROM movement;

GRANT SELECT, INSERT ON redemption_refund, operation, payout_batch, payout_attempt TO upline_rewards;
GRANT SELECT, INSERT, UPDATE ON redemption, payout TO upline_rewards;
GRANT SELECT, INSERT, UPDATE, DELETE ON expiring TO upline_rewards;
GRANT SELECT ON movement, ledger TO upline_rewards;
"""


def upgrade() -> None:
    """Makes the tables, and says what the service's role may do."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
