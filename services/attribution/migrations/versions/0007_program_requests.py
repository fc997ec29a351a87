"""A request id is one program's own."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A table beside `request`, whose key the version before names while an upgrade takes its place. What is in that one
# stays, and is looked for: it does not say of which program it is, so it cannot be moved.
STATEMENTS = """
CREATE TABLE program_request (
    program_id text NOT NULL,
    method text NOT NULL,
    request_id text NOT NULL,
    body_hash bytea NOT NULL,
    response bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, method, request_id)
);
GRANT SELECT, INSERT, UPDATE (response) ON program_request TO upline_attribution;
"""


def upgrade() -> None:
    """Makes the table."""
    op.execute(STATEMENTS)
