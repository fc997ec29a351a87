"""The tables of the service. Inbox entries are facts; words are made when they are read.

One event makes one `cause` row and one entry for each beneficiary, all under the cause's id. So the primary key of
`inbox_entry` is at once the order of an inbox and the rule that a participant is told of a cause once, and what the
beneficiaries share is stored once.
"""

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from chassis.dead_letters import dead_letter_table
from chassis.idempotency import request_tables

metadata = MetaData()


class _Xid8(UserDefinedType[str]):
    """A transaction id of 64 bits."""

    cache_ok = True

    def get_col_spec(self, **_kwargs: object) -> str:
        return "xid8"


program = Table(
    "program",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("texts_version", Integer, nullable=False),
)

texts = Table(
    "texts",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
)

preference = Table(
    "preference",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("locale", Text, nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)

cause = Table(
    "cause",
    metadata,
    Column("entry_id", Uuid, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("conversion_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("buyer_id", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("assets", JSONB, nullable=False, comment="[code, is money, minor digits] each"),
    Column("contest_id", Text, nullable=False, comment="empty: it is about no contest"),
    Column("reason", Text, nullable=False, comment="why a person refused; empty: nobody did"),
    Column("texts_version", Integer, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("writer", _Xid8, nullable=False, comment="The transaction that wrote it: watches compare snapshots."),
    Column("writer_horizon", _Xid8, nullable=False, comment="Every transaction before it had ended by then."),
    Index("cause_program_id_event_id_key", "program_id", "event_id", unique=True),
    Index("cause_writer", "writer"),
)

inbox_entry = Table(
    "inbox_entry",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("entry_id", Uuid, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("amounts", JSONB, nullable=False, comment="[asset, total, held part of it] each, in minor units"),
    Column("hold_until", DateTime(timezone=True)),
    Column("rank", Integer, comment="the place in a contest; NULL: it is about no prize"),
    Column("read", Boolean, nullable=False),
)

program_request, request = request_tables(metadata)
dead_letter = dead_letter_table(metadata)
