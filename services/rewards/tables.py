"""The tables of the rewards schema. `migrations/` makes them; queries name them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from chassis.dead_letters import dead_letter_table
from chassis.idempotency import request_tables
from chassis.outbox import outbox_table

metadata = MetaData()
outbox = outbox_table(metadata)
program_request, request = request_tables(metadata)
dead_letter = dead_letter_table(metadata)

plan_version = Table(
    "plan_version",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("currency_code", Text, nullable=False),
    Column("plan", LargeBinary, nullable=False, comment="upline.rewards.v1.Plan"),
    Column("effective_time", DateTime(timezone=True), comment="NULL: since always"),
    Column("create_time", DateTime(timezone=True), nullable=False),
)

conversion = Table(
    "conversion",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("conversion_id", Text, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column(
        "record_time", DateTime(timezone=True), comment="NULL: a reversal came first, the conversion has not arrived"
    ),
    Column("plan_version", Integer, nullable=False, comment="the version that pays, for ever; 0: none was in force"),
    Column("first_reward_id", Uuid, unique=True, comment="its rewards' ids differ from it in the last two bytes only"),
    Column("event", LargeBinary, comment="upline.attribution.v1.ConversionRecorded"),
    Column(
        "position",
        BigInteger,
        comment="when it was settled among the facts of its program; NULL: their order made no difference",
    ),
    Column(
        "snapshot", Text, comment="domain/tally/snapshot.py: what was counted before it; NULL: its plan counts nothing"
    ),
    comment="One row a conversion; its key is the inbox: a second delivery finds it and changes nothing",
)

reversal = Table(
    "reversal",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("reversal_id", Text, primary_key=True),
    Column("conversion_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("completes", Boolean, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False, comment="in which order reversals took effect, among all facts"),
    Column("lines", Text, comment="JSON: [line id, minor units taken back] of each; NULL: none are named"),
    comment="One row a reversal; its key is the inbox",
)

reward = Table(
    "reward",
    metadata,
    Column(
        "reward_id",
        Uuid,
        primary_key=True,
        comment="time, conversion, rule and level in one: domain/settle/settlement.py",
    ),
    Column("program_id", Text, primary_key=True),
    Column("conversion_id", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("beneficiary_id", Text, primary_key=True),
    Column("level", SmallInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("hold_until", DateTime(timezone=True)),
    Column("plan_version", Integer, nullable=False),
    comment="Immutable. A reward is its own accrual. Found by its beneficiary. Partitioned by range of the id, so by time",
)

reward_revision = Table(
    "reward_revision",
    metadata,
    Column("reward_id", Uuid, primary_key=True),
    Column("reversal_id", Text, primary_key=True),
    Column("delta_minor", BigInteger, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    comment="Immutable. What reversals took back of rewards, and people refused: these have no reversal",
)

transfer = Table(
    "transfer",
    metadata,
    Column("transfer_id", Uuid, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("kind", SmallInteger, nullable=False, comment="domain/ledger.py TransferKind"),
    Column("participant_id", Text, nullable=False),
    Column("debit", SmallInteger, nullable=False, comment="domain/ledger.py Place"),
    Column("credit", SmallInteger, nullable=False, comment="domain/ledger.py Place"),
    Column("asset", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("reward_id", Uuid, comment="NULL: it is not about one reward"),
    Column("cause_id", Text, nullable=False),
    Column("recipient_id", Text, comment="whose account it reaches; NULL: the same participant's"),
    comment="Immutable. What moves after the accrual. Partitioned by range of the id, so by time",
)

balance = Table(
    "balance",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("place", SmallInteger, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("amount_minor", Numeric(40, 0), nullable=False),
    comment="Rolled up; the balance is this row plus its pending deltas",
)

balance_delta = Table(
    "balance_delta",
    metadata,
    Column("program_id", Text, nullable=False),
    Column("participant_id", Text, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("delta_minor", BigInteger, nullable=False),
    comment="Appended with transfers, rolled up behind them: no payout waits for another one's balance row",
)

hold = Table(
    "hold",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("conversion_id", Text, primary_key=True),
    Column("due_time", DateTime(timezone=True), primary_key=True),
    Column("record_time", DateTime(timezone=True), nullable=False, comment="the conversion's: finds its rewards by id"),
    comment="Holds that have not ended: a reward with this hold_until is in HELD while the row is here",
)

hold_wait = Table(
    "hold_wait",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("conversion_id", Text, primary_key=True),
    Column(
        "mark", DateTime(timezone=True), primary_key=True, comment="domain/settle/waiting.py: stands in hold and reward"
    ),
    Column("rule_id", Text, nullable=False),
    Column("buyer_id", Text, nullable=False),
    Column("event_type", Text, nullable=False, comment="empty: no event is waited for"),
    Column("event_time", DateTime(timezone=True), comment="when it was recorded; NULL: it has not come"),
    Column("approval", SmallInteger, nullable=False, comment="store/waiting.py Approval"),
    Column("decide_time", DateTime(timezone=True), comment="when a person decided"),
    Column("reason", Text, nullable=False, comment="why it was refused"),
    Column("position", BigInteger, comment="of the refusal, as conversion.position; NULL: it was not refused"),
    Column("earliest", DateTime(timezone=True), nullable=False, comment="when its duration is over"),
    Column("occurred_at", DateTime(timezone=True), nullable=False, comment="of the conversion"),
    Column("end_time", DateTime(timezone=True), comment="when it was released or refused; NULL: it is held"),
    comment="What holds without an end wait for; the rows stay",
)

awaited_event = Table(
    "awaited_event",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("conversion_id", Text, primary_key=True),
    Column("buyer_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("target_id", Text, nullable=False, comment="the conversion it is meant for; empty: all before it"),
    Column("occurred_at", DateTime(timezone=True), nullable=False, comment="says whether it is the one"),
    Column("record_time", DateTime(timezone=True), nullable=False, comment="when it ends what waited for it"),
    comment="Events that some hold may wait for, so that one that is settled before its conversion is not missed",
)

tally = Table(
    "tally",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("name", Text, primary_key=True, comment="domain/tally/tallies.py"),
    Column("subject", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    comment="What a program counts. Changed only behind the program's lock: store/tallies.py",
)

contest_score = Table(
    "contest_score",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("contest_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("score", BigInteger, nullable=False),
    Column("reach_time", DateTime(timezone=True), nullable=False, comment="of the last fact that changed the score"),
    # Has a value in every row. It may be null in copies that the version before makes of the table, while an upgrade
    # takes place.
    Column("reach_position", BigInteger, nullable=True, comment="of the same fact; 0: it was before this was kept"),
    comment="A tally of its own, for it is read in the order of scores",
)

contest_due = Table(
    "contest_due",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("contest_id", Text, primary_key=True),
    Column("due_time", DateTime(timezone=True), nullable=False),
    comment="Contests that are not settled, and when they will be",
)

contest_settlement = Table(
    "contest_settlement",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("contest_id", Text, primary_key=True),
    Column("plan_version", Integer, nullable=False, comment="whose prizes were posted"),
    Column("settle_time", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False, comment="facts above it no longer change the ranking"),
    comment="Immutable. Contests whose ranking is final",
)

redemption = Table(
    "redemption",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("redemption_id", Text, primary_key=True),
    Column("participant_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("authorized_minor", BigInteger, nullable=False),
    Column("captured_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="domain/wallet/redemption.py RedemptionState"),
    Column("order_id", Text, nullable=False),
    Column("order_minor", BigInteger, nullable=False, comment="of the program's currency"),
    Column("worth_minor", BigInteger, nullable=False, comment="of the program's currency"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    comment="What is set aside for orders, or spent on them",
)

redemption_refund = Table(
    "redemption_refund",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("refund_id", Text, primary_key=True),
    Column("redemption_id", Text, nullable=False),
    Column("asked_minor", BigInteger, nullable=False, comment="0: all that was left"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    comment="Immutable. What came back of redemptions",
)

operation = Table(
    "operation",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("kind", SmallInteger, primary_key=True, comment="domain/ledger.py TransferKind"),
    Column("operation_id", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    comment="Immutable. Purchases, exchanges and gifts by the caller's ids: what was asked, and what was answered",
)

payout = Table(
    "payout",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("payout_id", Text, primary_key=True),
    Column("participant_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="domain/wallet/payout.py PayoutState"),
    Column("provider_reference", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False, comment="how often it was handed over"),
    Column("sends", Integer, nullable=False, comment="how often this attempt was sent: the answer may be lost"),
    Column("send_time", DateTime(timezone=True), comment="when it is sent (again); NULL: not by this service"),
    Column("batch_id", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    comment="What leaves the system",
)

payout_attempt = Table(
    "payout_attempt",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("payout_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    comment="Immutable. When a payout was handed over, and in which batch",
)

payout_batch = Table(
    "payout_batch",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    comment="Immutable. Payouts that were handed over in one file",
)

expiring = Table(
    "expiring",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("check_time", DateTime(timezone=True), nullable=False),
    Column("warned_until", DateTime(timezone=True), comment="what expires until then was told of; NULL: nothing was"),
    comment="When a wallet has to be looked at for what expires; a wallet without a row has to be looked at now",
)
