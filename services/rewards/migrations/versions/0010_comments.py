"""Tables and columns say for themselves what is in them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = """
COMMENT ON TABLE alembic_version IS 'The revision of the schema.';
COMMENT ON COLUMN alembic_version.version_num IS 'The newest migration that was run.';

COMMENT ON TABLE awaited_event IS
    'Events that a hold may wait for: one that is settled before the conversion it ends the hold of is not missed.';
COMMENT ON COLUMN awaited_event.program_id IS 'The program.';
COMMENT ON COLUMN awaited_event.conversion_id IS 'The event''s own id as a conversion.';
COMMENT ON COLUMN awaited_event.buyer_id IS 'The buyer.';
COMMENT ON COLUMN awaited_event.event_type IS 'Its event type.';
COMMENT ON COLUMN awaited_event.target_id IS
    'The conversion that it is meant for; empty for all of the buyer''s before it.';
COMMENT ON COLUMN awaited_event.occurred_at IS 'When it happened: by it the conversions before it are told.';
COMMENT ON COLUMN awaited_event.record_time IS 'When it was recorded: holds that it ends, end then.';

COMMENT ON TABLE balance IS
    'Balances of accounts, rolled up: an account''s balance is this row and the deltas that wait.';
COMMENT ON COLUMN balance.program_id IS 'The program.';
COMMENT ON COLUMN balance.participant_id IS 'Whose account it is; empty for the program''s own.';
COMMENT ON COLUMN balance.place IS 'The kind of the account, named by account_name.';
COMMENT ON COLUMN balance.asset IS 'The asset''s code.';
COMMENT ON COLUMN balance.amount_minor IS 'Minor units of the asset.';

COMMENT ON TABLE balance_delta IS
    'Changes of balances, added with the transfers and rolled up behind them: no payout waits for another one''s '
    'balance row.';
COMMENT ON COLUMN balance_delta.program_id IS 'The program.';
COMMENT ON COLUMN balance_delta.participant_id IS 'Whose account it is; empty for the program''s own.';
COMMENT ON COLUMN balance_delta.place IS 'The kind of the account, named by account_name.';
COMMENT ON COLUMN balance_delta.asset IS 'The asset''s code.';
COMMENT ON COLUMN balance_delta.delta_minor IS 'Minor units of the asset.';

COMMENT ON TABLE contest_due IS 'Contests that are not closed, and when they will be.';
COMMENT ON COLUMN contest_due.program_id IS 'The program.';
COMMENT ON COLUMN contest_due.contest_id IS 'The contest.';
COMMENT ON COLUMN contest_due.due_time IS 'When it is to be closed.';

COMMENT ON TABLE contest_score IS
    'Scores of contests: tallies of their own, because they are read in the order of the ranking.';
COMMENT ON COLUMN contest_score.program_id IS 'The program.';
COMMENT ON COLUMN contest_score.contest_id IS 'The contest.';
COMMENT ON COLUMN contest_score.participant_id IS 'The participant.';
COMMENT ON COLUMN contest_score.score IS 'The counter that the contest ranks by.';
COMMENT ON COLUMN contest_score.reach_time IS
    'When the last fact that changed the score was recorded: of equal scores, the earlier one is ahead.';
COMMENT ON COLUMN contest_score.reach_position IS
    'The turn of that fact; 0 for one before turns were kept. Stated in every row; it may be NULL in copies that the '
    'version before makes of the table during an upgrade.';

COMMENT ON TABLE contest_settlement IS 'Contests that are closed: their ranking is final. Never changed.';
COMMENT ON COLUMN contest_settlement.program_id IS 'The program.';
COMMENT ON COLUMN contest_settlement.contest_id IS 'The contest.';
COMMENT ON COLUMN contest_settlement.plan_version IS 'The version whose prizes were posted.';
COMMENT ON COLUMN contest_settlement.settle_time IS 'When it was closed.';
COMMENT ON COLUMN contest_settlement.position IS 'Facts with a later turn change the ranking no more.';

COMMENT ON TABLE conversion IS
    'Conversions that arrived. The key is the inbox: a second delivery finds it and changes nothing.';
COMMENT ON COLUMN conversion.program_id IS 'The program.';
COMMENT ON COLUMN conversion.conversion_id IS 'The conversion''s id.';
COMMENT ON COLUMN conversion.amount_minor IS 'Minor units of the program''s currency.';
COMMENT ON COLUMN conversion.record_time IS
    'When attribution recorded it; NULL where a reversal came first and the conversion has not arrived.';
COMMENT ON COLUMN conversion.plan_version IS 'The version that pays for ever; 0 where none was in force.';
COMMENT ON COLUMN conversion.first_reward_id IS
    'The ids of its rewards differ from this one in the last two bytes only.';
COMMENT ON COLUMN conversion.event IS 'The encoded upline.attribution.v1.ConversionRecorded; NULL until it arrives.';
COMMENT ON COLUMN conversion.position IS
    'Its turn among the facts of its program when it was settled; NULL where their order made no difference.';
COMMENT ON COLUMN conversion.snapshot IS
    'The tallies as its decision saw them, JSON: [name, subject, period, value] each; NULL where its plan counts '
    'nothing.';

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

COMMENT ON TABLE expiring IS 'When wallets are scanned for what expires; a wallet without a row is scanned at once.';
COMMENT ON COLUMN expiring.program_id IS 'The program.';
COMMENT ON COLUMN expiring.participant_id IS 'Whose wallet it is.';
COMMENT ON COLUMN expiring.asset IS 'The asset''s code.';
COMMENT ON COLUMN expiring.check_time IS 'When to scan it next.';
COMMENT ON COLUMN expiring.warned_until IS
    'The participant was told of what expires until then; NULL where of nothing.';

COMMENT ON TABLE hold IS 'Holds that have not ended: a reward with this hold_until is on hold while the row is here.';
COMMENT ON COLUMN hold.program_id IS 'The program.';
COMMENT ON COLUMN hold.conversion_id IS 'The conversion whose rewards are held.';
COMMENT ON COLUMN hold.due_time IS 'When it ends; from the year 9000 on, a mark of hold_wait.';
COMMENT ON COLUMN hold.record_time IS 'When the conversion was recorded: the ids of its rewards begin with it.';

COMMENT ON TABLE hold_wait IS
    'What holds without an end wait for: an event of the buyer''s, a person''s approval. The rows stay.';
COMMENT ON COLUMN hold_wait.program_id IS 'The program.';
COMMENT ON COLUMN hold_wait.conversion_id IS 'The conversion whose rewards are held.';
COMMENT ON COLUMN hold_wait.mark IS
    'A time that never comes, for each rule another; it stands in hold and reward in place of an end.';
COMMENT ON COLUMN hold_wait.rule_id IS 'The rule whose rewards wait.';
COMMENT ON COLUMN hold_wait.buyer_id IS 'The buyer of the conversion.';
COMMENT ON COLUMN hold_wait.event_type IS 'The event type that is waited for; empty for none.';
COMMENT ON COLUMN hold_wait.event_time IS 'When the event was recorded; NULL while it has not come.';
COMMENT ON COLUMN hold_wait.approval IS 'A person''s approval: 0 not needed, 1 pending, 2 approved, 3 rejected.';
COMMENT ON COLUMN hold_wait.decide_time IS 'When a person decided; NULL before.';
COMMENT ON COLUMN hold_wait.reason IS 'Why it was rejected; empty where it was not.';
COMMENT ON COLUMN hold_wait.position IS
    'The turn of the rejection among the facts of the program; NULL where there is none.';
COMMENT ON COLUMN hold_wait.earliest IS 'When the duration of the hold is over: it does not end before.';
COMMENT ON COLUMN hold_wait.occurred_at IS 'When the conversion happened.';
COMMENT ON COLUMN hold_wait.end_time IS 'When it was released or rejected; NULL while it is held.';

COMMENT ON VIEW ledger IS 'Movements for people: every kind and account by its name.';
COMMENT ON COLUMN ledger.transfer_id IS 'The transfer''s id, or the reward''s.';
COMMENT ON COLUMN ledger.program_id IS 'The program.';
COMMENT ON COLUMN ledger.asset IS 'The asset''s code.';
COMMENT ON COLUMN ledger.amount_minor IS 'Minor units of the asset.';
COMMENT ON COLUMN ledger.cause_id IS 'The fact that caused it.';
COMMENT ON COLUMN ledger.reward_id IS 'The reward that it is about; NULL where it is about none.';
COMMENT ON COLUMN ledger.kind IS 'Why value moved.';
COMMENT ON COLUMN ledger.debit_account IS 'The account that it leaves.';
COMMENT ON COLUMN ledger.credit_account IS 'The account that it reaches.';

COMMENT ON VIEW movement IS 'Every movement of value: a reward is its own accrual, and what moves later is a transfer.';
COMMENT ON COLUMN movement.transfer_id IS 'The transfer''s id, or the reward''s.';
COMMENT ON COLUMN movement.program_id IS 'The program.';
COMMENT ON COLUMN movement.kind IS 'Why value moved: its number in TransferKind of the contract.';
COMMENT ON COLUMN movement.participant_id IS 'Whose accounts it is about.';
COMMENT ON COLUMN movement.debit IS 'The kind of the account that it leaves, named by account_name.';
COMMENT ON COLUMN movement.credit IS 'The kind of the account that it reaches, named by account_name.';
COMMENT ON COLUMN movement.asset IS 'The asset''s code.';
COMMENT ON COLUMN movement.amount_minor IS 'Minor units of the asset.';
COMMENT ON COLUMN movement.reward_id IS 'The reward that it is about; NULL where it is about none.';
COMMENT ON COLUMN movement.cause_id IS 'The fact that caused it, such as conversion:program/id.';
COMMENT ON COLUMN movement.recipient_id IS
    'The participant whose account it reaches; NULL for the same participant''s.';

COMMENT ON TABLE operation IS
    'Purchases, exchanges and gifts by the callers'' ids: what was asked, and what was answered. Never changed.';
COMMENT ON COLUMN operation.program_id IS 'The program.';
COMMENT ON COLUMN operation.kind IS 'Which of these: its number in TransferKind of the contract.';
COMMENT ON COLUMN operation.operation_id IS 'The caller''s id.';
COMMENT ON COLUMN operation.body_hash IS 'A hash of what was asked for.';
COMMENT ON COLUMN operation.response IS 'The encoded answer.';
COMMENT ON COLUMN operation.create_time IS 'When it was done.';

COMMENT ON TABLE outbox IS 'Messages for the broker, written in the transaction of the facts that they tell of.';
COMMENT ON COLUMN outbox.outbox_id IS 'The order of publication.';
COMMENT ON COLUMN outbox.subject IS 'The subject under which it is published.';
COMMENT ON COLUMN outbox.message_id IS 'By it the broker drops a message that it has already.';
COMMENT ON COLUMN outbox.message_type IS 'The full name of the protobuf message.';
COMMENT ON COLUMN outbox.payload IS 'The encoded message.';
COMMENT ON COLUMN outbox.create_time IS 'When it was written.';
COMMENT ON COLUMN outbox.publish_time IS 'When the broker acknowledged it; NULL while it waits.';

COMMENT ON TABLE payout IS 'Value that leaves the system.';
COMMENT ON COLUMN payout.program_id IS 'The program.';
COMMENT ON COLUMN payout.payout_id IS 'The caller''s id.';
COMMENT ON COLUMN payout.participant_id IS 'Whose value it is.';
COMMENT ON COLUMN payout.asset IS 'The asset''s code.';
COMMENT ON COLUMN payout.amount_minor IS 'Minor units of the asset that leave the wallet.';
COMMENT ON COLUMN payout.fee_minor IS 'Minor units of these that do not reach the participant.';
COMMENT ON COLUMN payout.method IS 'By which method it is paid.';
COMMENT ON COLUMN payout.destination IS 'The account or card that it goes to, as the caller gave it.';
COMMENT ON COLUMN payout.state IS 'Its number in PayoutState of the contract.';
COMMENT ON COLUMN payout.provider_reference IS 'The provider''s own id; empty before it is known.';
COMMENT ON COLUMN payout.reason IS 'Why it failed, was rejected or came back; empty where it was not.';
COMMENT ON COLUMN payout.attempts IS 'How often it was handed over.';
COMMENT ON COLUMN payout.sends IS 'How often this attempt was sent, as an answer may be lost.';
COMMENT ON COLUMN payout.send_time IS 'When it is sent, or sent again; NULL where this service does not send it.';
COMMENT ON COLUMN payout.batch_id IS 'The batch of the last attempt; empty for none.';
COMMENT ON COLUMN payout.create_time IS 'When it was asked for.';
COMMENT ON COLUMN payout.update_time IS 'When it was changed last.';

COMMENT ON TABLE payout_attempt IS 'When payouts were handed over, and in which batch. Never changed.';
COMMENT ON COLUMN payout_attempt.program_id IS 'The program.';
COMMENT ON COLUMN payout_attempt.payout_id IS 'The payout.';
COMMENT ON COLUMN payout_attempt.attempt IS 'Counts from 1 for each payout.';
COMMENT ON COLUMN payout_attempt.batch_id IS 'The batch; empty where it was sent to a provider.';
COMMENT ON COLUMN payout_attempt.create_time IS 'When it was handed over.';

COMMENT ON TABLE payout_batch IS 'Payouts that were handed over in one file. Never changed.';
COMMENT ON COLUMN payout_batch.program_id IS 'The program.';
COMMENT ON COLUMN payout_batch.batch_id IS 'The caller''s id.';
COMMENT ON COLUMN payout_batch.method IS 'The method that it was made for; empty for all.';
COMMENT ON COLUMN payout_batch.create_time IS 'When it was made.';

COMMENT ON TABLE plan_version IS 'Versions of the programs'' plans. Never changed.';
COMMENT ON COLUMN plan_version.program_id IS 'The program.';
COMMENT ON COLUMN plan_version.version IS 'Counts from 1 in each program.';
COMMENT ON COLUMN plan_version.currency_code IS 'The currency of the program''s conversions, ISO 4217.';
COMMENT ON COLUMN plan_version.plan IS 'The encoded upline.rewards.v1.Plan.';
COMMENT ON COLUMN plan_version.effective_time IS 'From when it pays; NULL for since always.';
COMMENT ON COLUMN plan_version.create_time IS 'When it was published.';

COMMENT ON TABLE program_request IS
    'Calls that were carried out, with their answers: a call that is repeated gets the first answer again.';
COMMENT ON COLUMN program_request.program_id IS 'The program whose own the request id is.';
COMMENT ON COLUMN program_request.method IS 'The method that was called.';
COMMENT ON COLUMN program_request.request_id IS 'The caller''s id of the request.';
COMMENT ON COLUMN program_request.body_hash IS 'A hash of what was asked for: the same id with another one is refused.';
COMMENT ON COLUMN program_request.response IS
    'The encoded answer; NULL only inside the transaction that carries it out.';
COMMENT ON COLUMN program_request.create_time IS 'When it was carried out.';

COMMENT ON TABLE redemption IS 'Value that is set aside for orders, or pays a part of them.';
COMMENT ON COLUMN redemption.program_id IS 'The program.';
COMMENT ON COLUMN redemption.redemption_id IS 'The caller''s id.';
COMMENT ON COLUMN redemption.participant_id IS 'Whose value it is.';
COMMENT ON COLUMN redemption.asset IS 'The asset''s code.';
COMMENT ON COLUMN redemption.authorized_minor IS 'Minor units of the asset that were set aside.';
COMMENT ON COLUMN redemption.captured_minor IS 'Minor units of the asset that were taken.';
COMMENT ON COLUMN redemption.refunded_minor IS 'Minor units of the asset that were given back of these.';
COMMENT ON COLUMN redemption.state IS 'Its number in RedemptionState of the contract.';
COMMENT ON COLUMN redemption.order_id IS 'The order that it pays for.';
COMMENT ON COLUMN redemption.order_minor IS 'Minor units of the program''s currency: what the order costs.';
COMMENT ON COLUMN redemption.worth_minor IS
    'Minor units of the program''s currency: what the value is worth for the order.';
COMMENT ON COLUMN redemption.create_time IS 'When it was authorised.';

COMMENT ON TABLE redemption_refund IS 'What came back of redemptions. Never changed.';
COMMENT ON COLUMN redemption_refund.program_id IS 'The program.';
COMMENT ON COLUMN redemption_refund.refund_id IS 'The caller''s id.';
COMMENT ON COLUMN redemption_refund.redemption_id IS 'The redemption.';
COMMENT ON COLUMN redemption_refund.asked_minor IS
    'Minor units of the asset that were asked for; 0 for all that was left.';
COMMENT ON COLUMN redemption_refund.amount_minor IS 'Minor units of the asset that came back.';
COMMENT ON COLUMN redemption_refund.create_time IS 'When it came back.';

COMMENT ON TABLE request IS 'Calls of versions before request ids were a program''s own. Only read.';
COMMENT ON COLUMN request.method IS 'The method that was called.';
COMMENT ON COLUMN request.request_id IS 'The caller''s id of the request.';
COMMENT ON COLUMN request.body_hash IS 'A hash of what was asked for, the program included.';
COMMENT ON COLUMN request.response IS 'The encoded answer.';
COMMENT ON COLUMN request.create_time IS 'When it was carried out.';

COMMENT ON TABLE reversal IS 'Reversals that arrived. The key is the inbox.';
COMMENT ON COLUMN reversal.program_id IS 'The program.';
COMMENT ON COLUMN reversal.reversal_id IS 'The reversal''s id.';
COMMENT ON COLUMN reversal.conversion_id IS 'The conversion that it undoes in whole or in part.';
COMMENT ON COLUMN reversal.amount_minor IS 'Minor units that it undoes.';
COMMENT ON COLUMN reversal.completes IS 'Whether nothing of the conversion is left after it.';
COMMENT ON COLUMN reversal.record_time IS 'When attribution recorded it.';
COMMENT ON COLUMN reversal.position IS 'Its turn among all facts when it took effect.';
COMMENT ON COLUMN reversal.lines IS 'JSON: [line id, minor units taken back] each; NULL where no lines are named.';

COMMENT ON TABLE reward IS
    'What each beneficiary earned by one rule at one level; at once the transfer that accrues it. Never changed. '
    'Partitioned by months of the id.';
COMMENT ON COLUMN reward.reward_id IS 'Begins with the time, then tells the conversion, the rule and the level.';
COMMENT ON COLUMN reward.program_id IS 'The program.';
COMMENT ON COLUMN reward.conversion_id IS 'The conversion that it is for.';
COMMENT ON COLUMN reward.rule_id IS 'The rule of the plan that pays it.';
COMMENT ON COLUMN reward.beneficiary_id IS 'Who earned it.';
COMMENT ON COLUMN reward.level IS 'The distance of the beneficiary from the buyer, who is level 0.';
COMMENT ON COLUMN reward.asset IS 'The asset''s code.';
COMMENT ON COLUMN reward.amount_minor IS 'Minor units of the asset, before any revision.';
COMMENT ON COLUMN reward.hold_until IS
    'When its hold ends: held while a row of hold has this time; NULL for no hold. From the year 9000 on, a mark of '
    'hold_wait.';
COMMENT ON COLUMN reward.plan_version IS 'The version that pays it.';

COMMENT ON TABLE reward_revision IS 'Changes of rewards after their accrual. Never changed.';
COMMENT ON COLUMN reward_revision.reward_id IS 'The reward.';
COMMENT ON COLUMN reward_revision.reversal_id IS 'The reversal that took back of it; empty where a person rejected it.';
COMMENT ON COLUMN reward_revision.delta_minor IS 'Minor units of the asset, below zero.';
COMMENT ON COLUMN reward_revision.record_time IS 'When the fact behind it was recorded.';

COMMENT ON TABLE tally IS 'What a program counts. Changed only under the program''s lock.';
COMMENT ON COLUMN tally.program_id IS 'The program.';
COMMENT ON COLUMN tally.name IS 'What is counted, such as counter:id or cap:rule:scope:period.';
COMMENT ON COLUMN tally.subject IS
    'For whom: a participant, a participant and a buyer, or empty for the whole program.';
COMMENT ON COLUMN tally.period IS 'Since when; empty for ever.';
COMMENT ON COLUMN tally.value IS 'How many, or minor units.';

COMMENT ON TABLE transfer IS 'Movements of value after the accrual. Never changed. Partitioned by months of the id.';
COMMENT ON COLUMN transfer.transfer_id IS 'Begins with the time.';
COMMENT ON COLUMN transfer.program_id IS 'The program.';
COMMENT ON COLUMN transfer.kind IS 'Why value moved: its number in TransferKind of the contract.';
COMMENT ON COLUMN transfer.participant_id IS 'Whose accounts it is about.';
COMMENT ON COLUMN transfer.debit IS 'The kind of the account that it leaves, named by account_name.';
COMMENT ON COLUMN transfer.credit IS 'The kind of the account that it reaches, named by account_name.';
COMMENT ON COLUMN transfer.asset IS 'The asset''s code.';
COMMENT ON COLUMN transfer.amount_minor IS 'Minor units of the asset.';
COMMENT ON COLUMN transfer.reward_id IS 'The reward that it is about; NULL where it is about none.';
COMMENT ON COLUMN transfer.cause_id IS 'The fact that caused it, such as payout:program/id.';
COMMENT ON COLUMN transfer.recipient_id IS
    'The participant whose account it reaches; NULL for the same participant''s.';

COMMENT ON SEQUENCE settle_position IS 'Turns of facts: the order in which they were settled.';
COMMENT ON FUNCTION account_name(smallint, text) IS 'The name of an account by the number of its kind and whose it is.';
COMMENT ON FUNCTION ensure_partition(text, timestamptz) IS
    'Makes the partition of a month where it is missing; runs with the rights of its owner.';
COMMENT ON FUNCTION month_id(timestamptz) IS 'The least id that a row of a month can have.';
"""


def upgrade() -> None:
    """Adds comments and nothing else, under locks that readers and writers do not notice."""
    op.get_bind().exec_driver_sql(STATEMENTS, execution_options={"no_parameters": True})
