"""Facts about people leave through the outbox, on a subject of their own."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# The version before does not count changes of attributes: those that it makes meanwhile are told by no event. It
# publishes what waits in the order of all subjects, by the index of before, which also tells what waits in all.
STATEMENTS = """
ALTER TABLE participant ADD COLUMN attributes_revision bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN participant.attributes_revision IS 'How often the attributes were changed since the enrolment.';
-- What waits for one stream is found without that which waits for another. Only what waits is in it, so that it is made
-- at once, but all rows are read for it: writers wait for some seconds where millions are kept.
CREATE INDEX outbox_unpublished_by_subject ON outbox (subject, outbox_id) WHERE publish_time IS NULL;
"""


def upgrade() -> None:
    """Adds the column and the index."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
