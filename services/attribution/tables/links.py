"""Links, codes and shares."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Table, Text, func

from services.attribution.tables import metadata

link = Table(
    "link",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("link_id", Text, primary_key=True),
    Column("link_number", BigInteger, Identity(always=True), nullable=False),
    Column("participant_id", Text, nullable=False),
    Column("destination_url", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("utm_source", Text, nullable=False),
    Column("utm_medium", Text, nullable=False),
    Column("utm_campaign", Text, nullable=False),
    Column("utm_term", Text, nullable=False),
    Column("utm_content", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    # What the owner gives away of his reward: an exact decimal in percent, empty where he chose nothing.
    Column("share_percent", Text, nullable=False, server_default=""),
    Index("link_of_participant", "program_id", "participant_id", "link_number"),
)
"""Referral links. They never change, so that caches may hold them."""

code = Table(
    "code",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("code_number", BigInteger, Identity(always=True), nullable=False),
    Column("participant_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("share_percent", Text, nullable=False, server_default=""),
    Index("code_of_participant", "program_id", "participant_id", "code_number"),
)
"""Referral codes, in their one normalised spelling."""

share = Table(
    "share",
    metadata,
    Column("share_id", BigInteger, Identity(always=True), primary_key=True),
    Column("program_id", Text, nullable=False),
    Column("participant_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("link_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("share_by_time", "program_id", "create_time"),
)
"""Every share as it happened."""

share_count = Table(
    "share_count",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("share_count", BigInteger, nullable=False),
)
"""Shares added up, so that the answer to a share does not cost a count of all."""
