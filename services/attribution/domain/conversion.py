"""Conversions as reported and as recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.attribution.domain.attribution import Attribution

MAX_AHEAD = timedelta(minutes=5)
"""The time by which a caller's clock may be ahead; more is a mistake, such as a local time that is taken for UTC."""


@dataclass(frozen=True, slots=True)
class ConversionDraft:
    """A conversion as the caller reports it."""

    path: str
    """The place of the conversion in the request, for errors."""
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
    """A conversion with its attribution, and with the part of the tree at that time on which payouts depend."""

    draft: ConversionDraft
    attribution: Attribution
    buyer_attributes: dict[str, str]
    bound_at: datetime | None
    upline: tuple[int, ...]
    """The keys of the ancestors, level 1 first."""
    share_percent: str
    """The share of the reward that the referrer gives to the buyer, in percent; empty where nothing was chosen."""
    link_owner_attributes: dict[str, str]
    """The attributes of the owner of the link or code that led here; empty where none did."""


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
    """The number of conversions, without those that were reversed entirely."""
    amount_minor: int
    """The sum of their amounts, from which reversed amounts are subtracted. It may exceed 64 bits."""


@dataclass(frozen=True, slots=True)
class UplineMember:
    """One ancestor of a buyer at the time of a conversion."""

    participant_id: str
    attributes: dict[str, str]
