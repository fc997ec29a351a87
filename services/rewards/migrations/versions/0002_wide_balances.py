"""Balances of any width: a program's issuance is the sum of everything owed, and one that does not fit stops every roll-up."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Widens the rolled-up balances; single deltas stay within 64 bits, for their transaction fails otherwise."""
    op.execute("ALTER TABLE balance ALTER COLUMN amount_minor TYPE numeric(40, 0)")
