"""Referees are found in the order of their enrolment, a page at a time."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The index of before has them in the order of their bonds. Nobody without a sponsor is in the new one. The version
# before makes no use of it. Enrolments and binds wait while it is made: some seconds for a million people.
STATEMENTS = """
CREATE INDEX participant_by_sponsor_and_key ON participant (sponsor_key, participant_key)
    WHERE sponsor_key IS NOT NULL;
"""


def upgrade() -> None:
    """Makes the index."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
