"""Programs and participants."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Interval,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.attribution.tables import metadata

program = Table(
    "program",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("touch", SmallInteger, nullable=False),
    Column("touch_window", Interval, nullable=False),
    Column("binding", SmallInteger, nullable=False),
    Column("bindable", SmallInteger, nullable=False),
    Column("enroll_buyers", Boolean, nullable=False),
    Column("default_sponsor_id", Text, nullable=False),
    Column("credit_before_binding", SmallInteger, nullable=False, server_default="0"),
    Column("allowed_hosts", ARRAY(Text), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    Column("visitor_cookie", SmallInteger, nullable=False, server_default="0"),
)

participant_key_seq = Sequence("participant_key_seq", metadata=metadata)

participant = Table(
    "participant",
    metadata,
    # Taken from the sequence before the insert, because the upline of a row names keys of the same batch.
    Column("participant_key", BigInteger, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("participant_id", Text, nullable=False),
    Column("attributes", JSONB, nullable=False),
    # What the caller said at enrolment, hashed; null for those enrolled by a purchase.
    Column("draft_hash", LargeBinary),
    Column("sponsor_key", BigInteger),
    # Keys of the nearest ancestors, nearest first: a prefix of the true list, empty exactly if there is no sponsor.
    Column("upline", ARRAY(BigInteger), nullable=False),
    Column("bind_time", DateTime(timezone=True)),
    Column("bind_source", SmallInteger, nullable=False),
    Column("bind_link_id", Text, nullable=False),
    Column("bind_code", Text, nullable=False),
    Column("bind_channel", Text, nullable=False),
    Column("bind_campaign", Text, nullable=False),
    # As it stood on the link or code at the bind.
    Column("bind_share_percent", Text, nullable=False, server_default=""),
    # Why enrolment found nobody to bind them to; 0 where it did, or where nobody asked.
    Column("unbound_reason", SmallInteger, nullable=False, server_default="0"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Unique("program_id", "participant_id"),
    Index("participant_by_sponsor", "sponsor_key", "bind_time", "participant_key"),
)
