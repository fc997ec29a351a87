"""What an audit begins with is kept: the sums of accounts, and which rows they are sums of."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Rows of before have no writer: no table is rewritten, and the first audit reads all of them in any case. The version
# before names its columns where it writes, so it writes writers too without knowing it.
# Ids tell when a fact was recorded, not when it was committed: only the numbers of transactions tell what is new. They
# are added in their order, nearly, so that an index of ranges of blocks finds them and costs next to nothing.
STATEMENTS = """
ALTER TABLE reward ADD COLUMN writer bigint;
ALTER TABLE reward ALTER COLUMN writer SET DEFAULT txid_current();
ALTER TABLE transfer ADD COLUMN writer bigint;
ALTER TABLE transfer ALTER COLUMN writer SET DEFAULT txid_current();
ALTER TABLE reward_revision ADD COLUMN writer bigint;
ALTER TABLE reward_revision ALTER COLUMN writer SET DEFAULT txid_current();
CREATE INDEX reward_by_writer ON reward USING brin (writer) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX transfer_by_writer ON transfer USING brin (writer) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX reward_revision_by_writer ON reward_revision USING brin (writer)
    WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON COLUMN reward.writer IS
    'The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.';
COMMENT ON COLUMN transfer.writer IS
    'The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.';
COMMENT ON COLUMN reward_revision.writer IS
    'The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.';

CREATE OR REPLACE VIEW movement AS
SELECT reward_id AS transfer_id, program_id, 1::smallint AS kind, beneficiary_id AS participant_id, 1::smallint AS debit,
    CASE WHEN hold_until IS NULL THEN 3::smallint ELSE 2::smallint END AS credit, asset, amount_minor, reward_id,
    'conversion:' || program_id || '/' || conversion_id AS cause_id, NULL::text AS recipient_id, writer
FROM reward
UNION ALL
SELECT transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id, cause_id, recipient_id,
    writer
FROM transfer;
COMMENT ON COLUMN movement.writer IS 'The transaction that wrote it; NULL where that was before audits asked.';

CREATE TABLE audit_sum (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    place smallint NOT NULL,
    asset text NOT NULL,
    amount_minor numeric(40) NOT NULL,
    movement_count bigint NOT NULL,
    PRIMARY KEY (program_id, participant_id, place, asset)
);
COMMENT ON TABLE audit_sum IS
    'Sums of the movements of each account, as the last clean audit found them: those that were written before its horizon.';
COMMENT ON COLUMN audit_sum.program_id IS 'The program.';
COMMENT ON COLUMN audit_sum.participant_id IS 'Whose account it is; empty for the program''s own.';
COMMENT ON COLUMN audit_sum.place IS 'The kind of the account, named by account_name.';
COMMENT ON COLUMN audit_sum.asset IS 'The asset''s code.';
COMMENT ON COLUMN audit_sum.amount_minor IS 'Minor units of the asset.';
COMMENT ON COLUMN audit_sum.movement_count IS 'How many movements reached or left it.';

CREATE TABLE audit_checkpoint (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    horizon bigint,
    clean_time timestamptz,
    full_time timestamptz,
    due_time timestamptz NOT NULL DEFAULT '-infinity',
    sampled_program_id text NOT NULL DEFAULT '',
    sampled_participant_id text NOT NULL DEFAULT '',
    round_time timestamptz NOT NULL DEFAULT 'infinity',
    last_round_time timestamptz NOT NULL DEFAULT 'infinity',
    shift bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE audit_checkpoint IS 'What the next audit of all programs goes on from; one row, or none before the first. Whoever audits all locks the table.';
COMMENT ON COLUMN audit_checkpoint.singleton IS 'True: there is one row.';
COMMENT ON COLUMN audit_checkpoint.horizon IS
    'Movements of this writer and of later ones are new; NULL where the next audit has to read everything.';
COMMENT ON COLUMN audit_checkpoint.clean_time IS 'When the last clean audit began; NULL for none.';
COMMENT ON COLUMN audit_checkpoint.full_time IS 'When the last clean audit began that read everything; NULL for none.';
COMMENT ON COLUMN audit_checkpoint.due_time IS 'From when a process audits by itself again.';
COMMENT ON COLUMN audit_checkpoint.sampled_program_id IS 'The program of the wallet that the samples have come to.';
COMMENT ON COLUMN audit_checkpoint.sampled_participant_id IS 'Whose wallet that is; empty where a round begins.';
COMMENT ON COLUMN audit_checkpoint.round_time IS 'When the samples began their round through all wallets; infinity: not yet.';
COMMENT ON COLUMN audit_checkpoint.last_round_time IS
    'When they began the round before: no wallet was looked at longer ago. infinity: there was none.';
COMMENT ON COLUMN audit_checkpoint.shift IS
    'What writers are above the numbers of their transactions; not 0 where a restored database has numbers of another server.';
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_sum TO upline_rewards;
GRANT SELECT, INSERT, UPDATE ON audit_checkpoint TO upline_rewards;
"""


def upgrade() -> None:
    """Adds the columns and their indexes, and makes the tables."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
