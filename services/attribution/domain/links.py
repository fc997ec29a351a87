"""Links and codes as values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.attribution.domain.destination import Utm

LinkKey = tuple[str, str]
"""A program id and a link id."""
MAX_SHARE_PERCENT = 100


def share_percent(written: str) -> str:
    """A share in its one spelling, so that "50" and "050.0" are the same choice. Raises ValueError if it is more than
    the whole.

    `written` is digits with an optional fraction, or empty for no choice.
    """
    if not written:
        return ""
    share = Decimal(written)
    if share > MAX_SHARE_PERCENT:
        raise ValueError(f"is more than {MAX_SHARE_PERCENT} percent")
    return f"{share.normalize():f}"


@dataclass(frozen=True, slots=True)
class LinkDraft:
    """A link as the caller asks for it."""

    program_id: str
    participant_id: str
    destination_url: str
    channel: str
    campaign: str
    utm: Utm
    share_percent: str


@dataclass(frozen=True, slots=True)
class CodeDraft:
    """A code as the caller asks for it."""

    program_id: str
    code: str
    """The code asked for; empty if one is to be drawn."""
    participant_id: str
    channel: str
    share_percent: str


@dataclass(frozen=True, slots=True)
class Link:
    """A referral link. It never changes."""

    program_id: str
    link_id: str
    participant_id: str
    destination_url: str
    """The address it leads to: canonical, and allowed by the program when the link was made."""
    channel: str
    campaign: str
    utm: Utm
    create_time: datetime
    share_percent: str
    """The share of the reward that the owner gives away, as `share_percent` writes it; empty where they chose
    nothing."""


@dataclass(frozen=True, slots=True)
class Code:
    """A referral code. It never changes."""

    program_id: str
    code: str
    """The code in its one spelling."""
    participant_id: str
    channel: str
    create_time: datetime
    share_percent: str
    """The share of the reward that the owner gives away, as `share_percent` writes it; empty where nothing was
    chosen."""


@dataclass(frozen=True, slots=True)
class ResolvedCode:
    """A code, with the attributes of its owner and the title of its program."""

    code: Code
    owner_attributes: dict[str, str]
    program_title: str


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """One time that a participant shared a link or a code, or neither in particular."""

    program_id: str
    participant_id: str
    channel: str
    link_id: str
    """The link that was shared; empty unless it was one."""
    code: str
    """The code that was shared; empty unless it was one."""


@dataclass(frozen=True, slots=True)
class StoredShare:
    """One share, as it was counted."""

    share_id: int
    create_time: datetime
    share_count: int
    """How often the participant had shared by this channel, this time included."""


@dataclass(frozen=True, slots=True)
class ShareCounts:
    """The number of shares, by channel and in all."""

    by_channel: list[tuple[str, int]]
    """The number of shares by each of the channels that are used most, the most used first."""
    total: int
    """The number of all shares, also of those by channels that are not listed."""
