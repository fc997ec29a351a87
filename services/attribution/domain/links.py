"""Links and codes as values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.attribution.domain.destination import Utm

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
