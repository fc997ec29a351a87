"""Tables and columns say for themselves what is in them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = """
COMMENT ON TABLE alembic_version IS 'The revision of the schema.';
COMMENT ON COLUMN alembic_version.version_num IS 'The newest migration that was run.';

COMMENT ON TABLE cause IS
    'What happened, once for all whom it concerns. Entries are facts: words are made when they are read.';
COMMENT ON COLUMN cause.entry_id IS 'The id of all entries that tell of it; begins with the time.';
COMMENT ON COLUMN cause.program_id IS 'The program.';
COMMENT ON COLUMN cause.event_id IS
    'The event that told of it. With the program it is the inbox: a second delivery changes nothing.';
COMMENT ON COLUMN cause.conversion_id IS 'The conversion that it is about; empty for none.';
COMMENT ON COLUMN cause.event_type IS 'The kind of that conversion.';
COMMENT ON COLUMN cause.buyer_id IS 'The buyer of that conversion.';
COMMENT ON COLUMN cause.occurred_at IS 'When it happened.';
COMMENT ON COLUMN cause.assets IS '[code, is money, minor digits] each.';
COMMENT ON COLUMN cause.contest_id IS 'The contest that it is about; empty for none.';
COMMENT ON COLUMN cause.reason IS 'Why a person rejected it; empty where nobody did.';
COMMENT ON COLUMN cause.texts_version IS 'The version of the texts that tell of it; 0 for the built-in ones.';
COMMENT ON COLUMN cause.create_time IS 'When it was written.';
COMMENT ON COLUMN cause.writer IS 'The transaction that wrote it: those who watch an inbox compare snapshots.';
COMMENT ON COLUMN cause.writer_horizon IS 'Every transaction before this one had ended when it was written.';

COMMENT ON TABLE dead_letter IS
    'Messages that a consumer failed on, counted; those with a park_time are set aside and wait for a person.';
COMMENT ON COLUMN dead_letter.consumer IS 'The consumer that failed.';
COMMENT ON COLUMN dead_letter.message_id IS 'The message''s id, or its stream and sequence where it has none.';
COMMENT ON COLUMN dead_letter.subject IS 'The subject under which it was published.';
COMMENT ON COLUMN dead_letter.payload IS 'The encoded message.';
COMMENT ON COLUMN dead_letter.error IS 'The error of the last try.';
COMMENT ON COLUMN dead_letter.attempts IS 'How often it was tried.';
COMMENT ON COLUMN dead_letter.create_time IS 'When it failed first.';
COMMENT ON COLUMN dead_letter.update_time IS 'When it failed last.';
COMMENT ON COLUMN dead_letter.park_time IS 'When it was set aside; NULL while it is still tried.';

COMMENT ON TABLE inbox_entry IS
    'Entries of inboxes, one a cause and participant. The key is at once the order of an inbox and the rule that '
    'nobody is told twice.';
COMMENT ON COLUMN inbox_entry.program_id IS 'The program.';
COMMENT ON COLUMN inbox_entry.participant_id IS 'Whose inbox it is.';
COMMENT ON COLUMN inbox_entry.entry_id IS 'The cause.';
COMMENT ON COLUMN inbox_entry.kind IS 'Its number in NotificationKind of the contract.';
COMMENT ON COLUMN inbox_entry.level IS 'The distance of the participant from the buyer, who is level 0.';
COMMENT ON COLUMN inbox_entry.amounts IS '[asset, total, held part of it] each, in minor units.';
COMMENT ON COLUMN inbox_entry.hold_until IS
    'When what was earned is released, or when it expires; NULL where neither is known.';
COMMENT ON COLUMN inbox_entry.rank IS 'The rank in a contest; NULL where it is about no prize.';
COMMENT ON COLUMN inbox_entry.read IS 'Whether the participant has read it.';

COMMENT ON TABLE preference IS 'The language in which participants are told.';
COMMENT ON COLUMN preference.program_id IS 'The program.';
COMMENT ON COLUMN preference.participant_id IS 'The participant.';
COMMENT ON COLUMN preference.locale IS 'The language, such as ru.';
COMMENT ON COLUMN preference.update_time IS 'When it was changed last.';

COMMENT ON TABLE program IS 'Programs that have texts of their own.';
COMMENT ON COLUMN program.program_id IS 'The program''s id.';
COMMENT ON COLUMN program.texts_version IS 'The version of its texts in force; 0 for the built-in ones.';

COMMENT ON TABLE program_request IS
    'Calls that were carried out, with their answers: a call that is repeated gets the first answer again.';
COMMENT ON COLUMN program_request.program_id IS 'The program whose own the request id is.';
COMMENT ON COLUMN program_request.method IS 'The method that was called.';
COMMENT ON COLUMN program_request.request_id IS 'The caller''s id of the request.';
COMMENT ON COLUMN program_request.body_hash IS 'A hash of what was asked for: the same id with another one is refused.';
COMMENT ON COLUMN program_request.response IS
    'The encoded answer; NULL only inside the transaction that carries it out.';
COMMENT ON COLUMN program_request.create_time IS 'When it was carried out.';

COMMENT ON TABLE request IS 'Calls of versions before request ids were a program''s own. Only read.';
COMMENT ON COLUMN request.method IS 'The method that was called.';
COMMENT ON COLUMN request.request_id IS 'The caller''s id of the request.';
COMMENT ON COLUMN request.body_hash IS 'A hash of what was asked for, the program included.';
COMMENT ON COLUMN request.response IS 'The encoded answer.';
COMMENT ON COLUMN request.create_time IS 'When it was carried out.';

COMMENT ON TABLE texts IS 'Versions of the programs'' texts. Never changed.';
COMMENT ON COLUMN texts.program_id IS 'The program.';
COMMENT ON COLUMN texts.version IS 'Counts from 1 in each program.';
COMMENT ON COLUMN texts.content IS 'The encoded upline.notify.v1.ProgramTexts.';
COMMENT ON COLUMN texts.create_time IS 'When it was published.';
"""


def upgrade() -> None:
    """Adds comments and nothing else, under locks that readers and writers do not notice."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
