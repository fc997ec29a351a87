"""Links and codes as values."""

from dataclasses import dataclass
from datetime import datetime

from services.attribution.domain.destination import Utm


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


@dataclass(frozen=True, slots=True)
class Code:
    """A referral code. It never changes."""

    program_id: str
    code: str
    """Normalised."""
    participant_id: str
    channel: str
    create_time: datetime
