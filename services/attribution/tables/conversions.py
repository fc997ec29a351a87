"""Conversions and their reversals."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import JSONB

from services.attribution.tables import metadata

conversion_key_seq = Sequence("conversion_key_seq", metadata=metadata)

conversion = Table(
    "conversion",
    metadata,
    # Taken from the sequence before the insert: rows go in by id, keys follow the order of the batch.
    Column("conversion_key", BigInteger, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("conversion_id", Text, nullable=False),
    # Hash of what the caller sent, before defaults were filled in.
    Column("body_hash", LargeBinary, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("buyer_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    # The caller's whole report as an encoded `ConversionDraft`, defaults filled in.
    Column("draft", LargeBinary, nullable=False),
    Column("referrer_id", Text, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    Column("link_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    # The losing candidates as an encoded `Attribution`; null for none.
    Column("losers", LargeBinary),
    Column("reversed_minor", BigInteger, nullable=False, server_default="0"),
    Column("reversed", Boolean, nullable=False, server_default="false"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Unique("program_id", "conversion_id"),
    Index("conversion_by_program", "program_id", "conversion_key"),
    Index("conversion_by_buyer", "program_id", "buyer_id", "conversion_key"),
    Index("conversion_unattributed", "program_id", "conversion_key", postgresql_where=text("referrer_id = ''")),
)

reversal = Table(
    "reversal",
    metadata,
    Column("reversal_key", BigInteger, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("reversal_id", Text, nullable=False),
    Column("conversion_id", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    # The caller's whole report as an encoded `ReversalDraft`, defaults filled in.
    Column("draft", LargeBinary, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    # {line_id: minor units}, empty for conversions without lines.
    Column("lines", JSONB, nullable=False),
    Column("completes", Boolean, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Unique("program_id", "reversal_id"),
    Index("reversal_by_conversion", "program_id", "conversion_id", "reversal_key"),
)
