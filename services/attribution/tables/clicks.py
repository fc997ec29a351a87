"""Clicks, in partitions of one day each."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text, Uuid, text

from services.attribution.tables import metadata

click = Table(
    "click",
    metadata,
    Column("click_id", Uuid, primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("link_id", Text, nullable=False),
    Column("visitor_id", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("ip_hash", LargeBinary, nullable=False),
    Column("user_agent_hash", LargeBinary, nullable=False),
    Column("referrer_host", Text, nullable=False),
    # Has a value in every row. It may be null in copies that the version before makes of the table, while an upgrade
    # takes place.
    Column("kind", SmallInteger, nullable=True, server_default=text("0")),
    Index("click_of_visitor", "program_id", "visitor_id", "click_id", postgresql_where=text("visitor_id <> ''")),
    postgresql_partition_by="RANGE (click_id)",
)
"""Every click once: its id is a UUIDv7, so a range of ids is a range of time and the id alone can be the key."""
