"""The people of a program, as values."""

from dataclasses import dataclass
from datetime import datetime

from services.attribution.domain.attribution import Bond, Reason
from services.attribution.domain.conversion import Conversion, ConversionDraft, Purchases


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as stored."""

    key: int
    """The name by which the store knows them."""
    participant_id: str
    attributes: dict[str, str]
    draft_hash: bytes | None
    """A hash of the draft by which the caller enrolled them; None for those enrolled by a purchase."""
    bond: Bond | None
    unbound_reason: Reason | None
    """The reason why enrolment found nobody to bind the participant to; None where it found somebody, or did not
    look."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class EnrolmentDraft:
    """Somebody to be enrolled, as the caller describes them."""

    path: str
    """The place of the draft in the request, for errors."""
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
    """A bond on the way into the store."""

    key: int
    participant_id: str
    sponsor_key: int
    upline: tuple[int, ...]
    bond: Bond


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A participant on the way into the store."""

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
    participant_id: str
    attributes: dict[str, str]
    draft_hash: bytes
    unbound_reason: Reason | None


@dataclass(frozen=True, slots=True)
class ChangedAttributes:
    """The attributes that somebody has from now on, which are others than before."""

    key: int
    participant_id: str
    attributes: dict[str, str]
    revision: int
    """How often they were changed, this time included."""


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A participant of any program, with what is told of them again."""

    program_id: str
    participant: Participant
    attributes_revision: int
    """How often their attributes were changed."""


@dataclass(frozen=True, slots=True)
class Referee:
    """A participant as somebody else's referee: who they are and how they are bound."""

    key: int
    """The name by which the store knows them."""
    participant_id: str
    bond: Bond


@dataclass(frozen=True, slots=True)
class Referral:
    """A referee and what they bought."""

    referee: Referee
    purchases: Purchases
    recent_conversions: list[Conversion]
    """Their latest conversions, the newest first."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """An ancestor or a descendant of somebody."""

    key: int
    participant_id: str
    sponsor_id: str
    """The sponsor; empty for a root."""
    attributes: dict[str, str]
    level: int
