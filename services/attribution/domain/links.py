"""Links and codes as values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.attribution.domain.destination import Utm

LinkKey = tuple[str, str]
"""A program id and a link id."""
MAX_SHARE_PERCENT = 100


def share_percent(written: str) -> str:
    """A share in its one spelling, so that "50" and "050.0" are the same choice. ValueError if it is more than the whole.

    `written` is digits with an optional fraction, or empty: no choice.
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
    """Empty if one is to be drawn."""
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
    """Canonical, and allowed by the program when the link was made."""
    channel: str
    campaign: str
    utm: Utm
    create_time: datetime
    share_percent: str
    """What the owner gives away of his reward, as `share_percent` writes it; empty where he chose nothing."""


@dataclass(frozen=True, slots=True)
class Code:
    """A referral code. It never changes."""

    program_id: str
    code: str
    """Normalised."""
    participant_id: str
    channel: str
    create_time: datetime
    share_percent: str
    """As a link's."""


@dataclass(frozen=True, slots=True)
class ResolvedCode:
    """A code with what a page that shows it needs to know."""

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
    """Empty unless a link was shared."""
    code: str
    """Empty unless a code was shared."""


@dataclass(frozen=True, slots=True)
class ShareCounts:
    """How often was shared."""

    by_channel: list[tuple[str, int]]
    """The channels most shared by, the most shared by first."""
    total: int
    """All shares, also by channels that are not listed."""
