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
from chassis.idempotency import request_table
from chassis.outbox import outbox_table

metadata = MetaData()
outbox = outbox_table(metadata)
request = request_table(metadata)
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
        "position", BigInteger, comment="when it was settled among the facts of its program; NULL: nothing is counted"
    ),
    Column("snapshot", Text, comment="domain/snapshot.py: what was counted before it; NULL: its plan counts nothing"),
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
    Column("position", BigInteger, comment="as conversion.position"),
    Column("lines", Text, comment="JSON: [line id, minor units taken back] of each; NULL: none are named"),
    comment="One row a reversal; its key is the inbox",
)

reward = Table(
    "reward",
    metadata,
    Column(
        "reward_id", Uuid, primary_key=True, comment="time, conversion, rule and level in one: domain/settlement.py"
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
    comment="Immutable. What reversals took back of rewards",
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
    Column("reward_id", Uuid, nullable=False),
    Column("cause_id", Text, nullable=False),
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

tally = Table(
    "tally",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("name", Text, primary_key=True, comment="domain/tallies.py"),
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
    comment="A tally of its own, for it is read in the order of scores",
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
