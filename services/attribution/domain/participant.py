"""Anyone enrolled in a program."""

from dataclasses import dataclass
from datetime import datetime

from services.attribution.domain.attribution import Bond, Reason
from services.attribution.domain.conversion import Conversion, ConversionDraft, Purchases


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as stored."""

    key: int
    """The store's own name for him."""
    participant_id: str
    attributes: dict[str, str]
    draft_hash: bytes | None
    """Hash of what the caller said at enrolment; None for those enrolled by a purchase."""
    bond: Bond | None
    unbound_reason: Reason | None
    """The reason why enrolment found nobody to bind the participant to; None where it found somebody, or did not
    look."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class EnrolmentDraft:
    """What the caller says of somebody to be enrolled."""

    path: str
    """Where it stands in the request, for errors."""
    participant_id: str
    attributes: dict[str, str]
    sponsor_id: str
    code: str
    click_token: str
    visitor_id: str
    sign_up: ConversionDraft | None
    """The conversion that the enrolment records, if it records one."""
    joined_at: datetime
    """The time at which the participant joined and, if at all, was bound: now, unless the caller loads history."""
    draft_hash: bytes


@dataclass(frozen=True, slots=True)
class NewBond:
    """A bond on its way into the store."""

    key: int
    sponsor_key: int
    upline: tuple[int, ...]
    bond: Bond


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A participant on his way into the store."""

    key: int
    participant_id: str
    attributes: dict[str, str]
    draft_hash: bytes | None
    binding: NewBond | None
    unbound_reason: Reason | None
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Adoption:
    """The change of somebody enrolled by a purchase whom the caller now enrols."""

    key: int
    attributes: dict[str, str]
    draft_hash: bytes
    unbound_reason: Reason | None


@dataclass(frozen=True, slots=True)
class Referral:
    """A referee and what they bought."""

    referee: Participant
    purchases: Purchases
    recent_conversions: list[Conversion]
    """Newest first."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One ancestor or descendant."""

    key: int
    participant_id: str
    sponsor_id: str
    """Empty for a root."""
    attributes: dict[str, str]
    level: int
