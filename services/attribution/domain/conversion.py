"""Conversions as reported and as recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.attribution.domain.attribution import Attribution

MAX_AHEAD = timedelta(minutes=5)
"""How far a caller's clock may be ahead of ours; more is a mistake, such as a local time that is taken for UTC."""


@dataclass(frozen=True, slots=True)
class ConversionDraft:
    """A conversion as the caller reports it."""

    path: str
    """Where it stands in the request, for errors."""
    conversion_id: str
    event_type: str
    buyer_id: str
    currency_code: str
    """Empty where no amount was given."""
    amount_minor: int
    line_amounts: dict[str, int]
    """Minor units by line id; sums to `amount_minor` unless empty."""
    click_token: str
    code: str
    visitor_id: str
    occurred_at: datetime
    new_customer: bool | None
    content: bytes
    """The whole report as an encoded message, defaults filled in."""
    body_hash: bytes
    """Hash of what the caller sent, before defaults were filled in."""


@dataclass(frozen=True, slots=True)
class AttributedConversion:
    """A conversion with its attribution, and what a payout needs to know of the tree at that time."""

    draft: ConversionDraft
    attribution: Attribution
    buyer_attributes: dict[str, str]
    bound_at: datetime | None
    upline: tuple[int, ...]
    """Keys, level 1 first."""
    share_percent: str
    """What the buyer's referrer gives him of his reward, in percent; empty where nothing was chosen."""
    link_owner_attributes: dict[str, str]
    """Of whoever owns the link or code that led here; empty where none did."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion as recorded."""

    key: int
    conversion_id: str
    amount_minor: int
    content: bytes
    body_hash: bytes
    attribution: Attribution
    reversed_minor: int
    is_reversed: bool
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Purchases:
    """The conversions of one buyer, added up."""

    conversion_count: int
    """Those that were reversed entirely are left out."""
    amount_minor: int
    """Reversed amounts are subtracted. It may exceed 64 bits."""


@dataclass(frozen=True, slots=True)
class UplineMember:
    """One ancestor of a buyer at the time of a conversion."""

    participant_id: str
    attributes: dict[str, str]
