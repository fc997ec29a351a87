"""Payouts that came back after they were paid, by name in the ledger for people."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = """
CREATE OR REPLACE VIEW ledger AS
SELECT transfer_id, program_id, asset, amount_minor, cause_id, reward_id,
    (ARRAY['accrual', 'release', 'reversal', 'debt_settlement', 'rejection', 'authorization', 'capture', 'void',
        'redemption_refund', 'purchase', 'exchange', 'gift', 'payout_request', 'payout', 'payout_fee', 'payout_return',
        'expiry', 'prize', 'payout_bounce'])[kind] AS kind,
    account_name(debit, participant_id) AS debit_account,
    account_name(credit, coalesce(recipient_id, participant_id)) AS credit_account
FROM movement;
"""


def upgrade() -> None:
    """Replaces the view; its columns and who may read it stay."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
