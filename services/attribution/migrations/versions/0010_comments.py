"""Tables and columns say for themselves what is in them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = """
COMMENT ON TABLE alembic_version IS 'The revision of the schema.';
COMMENT ON COLUMN alembic_version.version_num IS 'The newest migration that was run.';

COMMENT ON TABLE click IS
    'Clicks, each once: the id is a UUIDv7, so a range of ids is a range of time. Partitioned by days.';
COMMENT ON COLUMN click.click_id IS 'The click''s id: the time in milliseconds, then random bits.';
COMMENT ON COLUMN click.program_id IS 'The program.';
COMMENT ON COLUMN click.link_id IS 'The link that was followed.';
COMMENT ON COLUMN click.visitor_id IS 'The visitor''s id in the caller''s first-party cookie; empty for none.';
COMMENT ON COLUMN click.occurred_at IS 'When it happened.';
COMMENT ON COLUMN click.ip_hash IS 'A keyed hash of the visitor''s address.';
COMMENT ON COLUMN click.user_agent_hash IS 'A keyed hash of the browser''s name of itself.';
COMMENT ON COLUMN click.referrer_host IS 'The host that the visitor came from; empty where it is not known.';
COMMENT ON COLUMN click.kind IS
    'Whether it was a visit: its number in ClickKind of the contract. Stated in every row; it may be NULL in copies '
    'that the version before makes of the table during an upgrade.';

COMMENT ON TABLE code IS 'Referral codes.';
COMMENT ON COLUMN code.program_id IS 'The program.';
COMMENT ON COLUMN code.code IS 'The code in its one normalised spelling.';
COMMENT ON COLUMN code.code_number IS 'The order in which codes were made.';
COMMENT ON COLUMN code.participant_id IS 'Whose code it is.';
COMMENT ON COLUMN code.channel IS 'Where the owner shares it.';
COMMENT ON COLUMN code.create_time IS 'When it was made.';
COMMENT ON COLUMN code.share_percent IS
    'What the owner gives away of a reward: an exact decimal in percent, empty for no choice.';

COMMENT ON TABLE conversion IS 'Conversions as they were recorded, and who is credited for each.';
COMMENT ON COLUMN conversion.conversion_key IS
    'The key inside the schema, taken from its sequence before the insert: rows go in by id, keys follow the order '
    'of the call.';
COMMENT ON COLUMN conversion.program_id IS 'The program.';
COMMENT ON COLUMN conversion.conversion_id IS 'The caller''s id.';
COMMENT ON COLUMN conversion.body_hash IS 'A hash of what the caller sent, before defaults were filled in.';
COMMENT ON COLUMN conversion.event_type IS 'The kind of the conversion, such as order.';
COMMENT ON COLUMN conversion.buyer_id IS 'The buyer.';
COMMENT ON COLUMN conversion.amount_minor IS 'Minor units of the program''s currency.';
COMMENT ON COLUMN conversion.occurred_at IS 'When it happened.';
COMMENT ON COLUMN conversion.draft IS 'The caller''s whole report as an encoded ConversionDraft, defaults filled in.';
COMMENT ON COLUMN conversion.referrer_id IS 'Who is credited; empty for nobody.';
COMMENT ON COLUMN conversion.reason IS 'Why: its number in AttributionReason of the contract.';
COMMENT ON COLUMN conversion.link_id IS 'The link by which the referrer was found; empty where it was none.';
COMMENT ON COLUMN conversion.code IS 'The code by which the referrer was found; empty where it was none.';
COMMENT ON COLUMN conversion.channel IS 'The channel of the link or code.';
COMMENT ON COLUMN conversion.campaign IS 'The campaign of the link.';
COMMENT ON COLUMN conversion.losers IS
    'The candidates that were not credited, as an encoded Attribution; NULL for none.';
COMMENT ON COLUMN conversion.reversed_minor IS 'Minor units that reversals have undone so far.';
COMMENT ON COLUMN conversion.reversed IS 'Whether nothing of it is left.';
COMMENT ON COLUMN conversion.create_time IS 'When it was recorded.';

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

COMMENT ON TABLE link IS 'Referral links. A row never changes, so caches may hold it.';
COMMENT ON COLUMN link.program_id IS 'The program.';
COMMENT ON COLUMN link.link_id IS 'The link''s id, part of its address.';
COMMENT ON COLUMN link.link_number IS 'The order in which links were made.';
COMMENT ON COLUMN link.participant_id IS 'Whose link it is.';
COMMENT ON COLUMN link.destination_url IS 'Where it leads.';
COMMENT ON COLUMN link.channel IS 'Where the owner shares it.';
COMMENT ON COLUMN link.campaign IS 'The campaign that it belongs to.';
COMMENT ON COLUMN link.utm_source IS 'The parameter utm_source of the address it leads to; empty for none.';
COMMENT ON COLUMN link.utm_medium IS 'The parameter utm_medium; empty for none.';
COMMENT ON COLUMN link.utm_campaign IS 'The parameter utm_campaign; empty for none.';
COMMENT ON COLUMN link.utm_term IS 'The parameter utm_term; empty for none.';
COMMENT ON COLUMN link.utm_content IS 'The parameter utm_content; empty for none.';
COMMENT ON COLUMN link.create_time IS 'When it was made.';
COMMENT ON COLUMN link.share_percent IS
    'What the owner gives away of a reward: an exact decimal in percent, empty for no choice.';

COMMENT ON TABLE outbox IS 'Messages for the broker, written in the transaction of the facts that they tell of.';
COMMENT ON COLUMN outbox.outbox_id IS 'The order of publication.';
COMMENT ON COLUMN outbox.subject IS 'The subject under which it is published.';
COMMENT ON COLUMN outbox.message_id IS 'By it the broker drops a message that it has already.';
COMMENT ON COLUMN outbox.message_type IS 'The full name of the protobuf message.';
COMMENT ON COLUMN outbox.payload IS 'The encoded message.';
COMMENT ON COLUMN outbox.create_time IS 'When it was written.';
COMMENT ON COLUMN outbox.publish_time IS 'When the broker acknowledged it; NULL while it waits.';

COMMENT ON TABLE participant IS
    'People in programs, with the tree of sponsors above them. A sponsor, once there, never changes.';
COMMENT ON COLUMN participant.participant_key IS
    'The key inside the schema, taken from its sequence before the insert: rows of one batch name one another by it.';
COMMENT ON COLUMN participant.program_id IS 'The program.';
COMMENT ON COLUMN participant.participant_id IS 'The platform''s id of the person.';
COMMENT ON COLUMN participant.attributes IS 'What the platform says of the person, by name; plans may ask for it.';
COMMENT ON COLUMN participant.draft_hash IS
    'A hash of what the caller said at the enrolment; NULL for those whom a purchase enrolled.';
COMMENT ON COLUMN participant.sponsor_key IS 'The participant who brought this one; NULL for nobody.';
COMMENT ON COLUMN participant.upline IS
    'Keys of the nearest ancestors, nearest first, at most 64: a prefix of the true list, empty exactly if there is '
    'no sponsor.';
COMMENT ON COLUMN participant.bind_time IS 'When the sponsor was bound; NULL without one.';
COMMENT ON COLUMN participant.bind_source IS
    'By what the sponsor was found: its number in BindSource of the contract; 0 without one.';
COMMENT ON COLUMN participant.bind_link_id IS 'The link that was followed; empty where it was none.';
COMMENT ON COLUMN participant.bind_code IS 'The code that was named; empty where it was none.';
COMMENT ON COLUMN participant.bind_channel IS 'The channel of the link or code.';
COMMENT ON COLUMN participant.bind_campaign IS 'The campaign of the link.';
COMMENT ON COLUMN participant.create_time IS 'When they were enrolled.';
COMMENT ON COLUMN participant.bind_share_percent IS
    'What the owner of the link or code gave away of a reward, as it stood at the bind: an exact decimal in percent, '
    'empty for no choice.';
COMMENT ON COLUMN participant.unbound_reason IS
    'Why the enrolment found no sponsor: its number in AttributionReason of the contract; 0 where it did, or nobody '
    'asked.';

COMMENT ON TABLE program IS 'Programs and how each attributes.';
COMMENT ON COLUMN program.program_id IS 'The program''s id.';
COMMENT ON COLUMN program.title IS 'Its name for people.';
COMMENT ON COLUMN program.currency_code IS 'The currency of its conversions, ISO 4217.';
COMMENT ON COLUMN program.touch IS 'Which touch of a buyer wins: its number in Touch of the contract.';
COMMENT ON COLUMN program.touch_window IS 'How long after a touch a conversion is credited by it.';
COMMENT ON COLUMN program.binding IS 'How long a referral lasts: its number in Binding of the contract.';
COMMENT ON COLUMN program.bindable IS 'Who may be bound or credited for: its number in Bindable of the contract.';
COMMENT ON COLUMN program.enroll_buyers IS 'Whether a buyer who is credited to somebody is enrolled.';
COMMENT ON COLUMN program.default_sponsor_id IS 'Who sponsors those that nobody brought; empty for nobody.';
COMMENT ON COLUMN program.credit_before_binding IS
    'Who is credited for what occurred before the buyer was bound: its number in CreditBeforeBinding of the contract.';
COMMENT ON COLUMN program.allowed_hosts IS 'Hosts that links may lead to.';
COMMENT ON COLUMN program.create_time IS 'When it was made.';
COMMENT ON COLUMN program.update_time IS 'When it was changed last.';
COMMENT ON COLUMN program.visitor_cookie IS
    'Whether the redirect keeps a visitor id in browsers: its number in VisitorCookie of the contract.';

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

COMMENT ON TABLE reversal IS 'Reversals as they were recorded. One that comes before its conversion waits for it.';
COMMENT ON COLUMN reversal.reversal_key IS 'The key inside the schema: the order in which reversals were recorded.';
COMMENT ON COLUMN reversal.program_id IS 'The program.';
COMMENT ON COLUMN reversal.reversal_id IS 'The caller''s id.';
COMMENT ON COLUMN reversal.conversion_id IS 'The conversion that it undoes in whole or in part.';
COMMENT ON COLUMN reversal.body_hash IS 'A hash of what the caller sent, before defaults were filled in.';
COMMENT ON COLUMN reversal.draft IS 'The caller''s whole report as an encoded ReversalDraft, defaults filled in.';
COMMENT ON COLUMN reversal.amount_minor IS 'Minor units that it undoes.';
COMMENT ON COLUMN reversal.lines IS 'Minor units that it undoes by line id; empty for a conversion without lines.';
COMMENT ON COLUMN reversal.completes IS 'Whether nothing of the conversion is left after it.';
COMMENT ON COLUMN reversal.pending IS 'Whether the conversion has not come yet.';
COMMENT ON COLUMN reversal.create_time IS 'When it was recorded.';

COMMENT ON TABLE share IS 'Every share of a link or code, as it happened.';
COMMENT ON COLUMN share.share_id IS 'The order of the shares.';
COMMENT ON COLUMN share.program_id IS 'The program.';
COMMENT ON COLUMN share.participant_id IS 'Who shared.';
COMMENT ON COLUMN share.channel IS 'Where it was shared.';
COMMENT ON COLUMN share.link_id IS 'The link that was shared; empty where it was none.';
COMMENT ON COLUMN share.code IS 'The code that was shared; empty where it was none.';
COMMENT ON COLUMN share.create_time IS 'When it was recorded.';

COMMENT ON TABLE share_count IS 'Shares added up, so that the answer to a share does not cost a count of all.';
COMMENT ON COLUMN share_count.program_id IS 'The program.';
COMMENT ON COLUMN share_count.participant_id IS 'Who shared.';
COMMENT ON COLUMN share_count.channel IS 'Where.';
COMMENT ON COLUMN share_count.share_count IS 'How often.';

COMMENT ON SEQUENCE conversion_key_seq IS 'Keys of conversions.';
COMMENT ON SEQUENCE participant_key_seq IS 'Keys of participants.';
COMMENT ON SEQUENCE reversal_key_seq IS 'Keys of reversals.';
COMMENT ON FUNCTION click_day_bound(date) IS 'The least id that a click of a day can have.';
COMMENT ON FUNCTION drop_click_partitions(date) IS
    'Drops the partitions of the days before one, and returns how many; runs with the rights of its owner.';
COMMENT ON FUNCTION ensure_click_partition(date) IS
    'Makes the partition of a day where it is missing; runs with the rights of its owner.';
"""


def upgrade() -> None:
    """Adds comments and nothing else, under locks that readers and writers do not notice."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
