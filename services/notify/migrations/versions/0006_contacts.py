"""What is known of people beside their ids."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The version before knows nothing of contacts, and calls everybody by their ids.
STATEMENTS = """
CREATE TABLE contact (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    email_key text NOT NULL DEFAULT '',
    email_verify_time timestamptz,
    time_zone text NOT NULL DEFAULT '',
    locale text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, participant_id)
);
COMMENT ON TABLE contact IS
    'What is known of people beside their ids. Personal data: no other table has any but preference, and logs have none.';
COMMENT ON COLUMN contact.program_id IS 'The program.';
COMMENT ON COLUMN contact.participant_id IS 'The participant.';
COMMENT ON COLUMN contact.display_name IS 'What others call them; empty if not known.';
COMMENT ON COLUMN contact.email IS 'Their e-mail address as it was given; empty if not known.';
COMMENT ON COLUMN contact.email_key IS 'The same, normalised for comparing.';
COMMENT ON COLUMN contact.email_verify_time IS
    'When it was made sure that the address is theirs; NULL if it was not.';
COMMENT ON COLUMN contact.time_zone IS 'Their time zone in the IANA database; empty for UTC.';
COMMENT ON COLUMN contact.locale IS
    'The language that the platform knows them to speak; what they chose themselves stands in preference.';
COMMENT ON COLUMN contact.create_time IS 'When it was first set.';
COMMENT ON COLUMN contact.update_time IS 'When it was set last.';
GRANT SELECT, INSERT, UPDATE, DELETE ON contact TO upline_notify;
GRANT DELETE ON preference TO upline_notify;
"""


def upgrade() -> None:
    """Makes the table, and lets the service erase what a person chose."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
