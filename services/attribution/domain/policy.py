"""A program, and how its conversions find their referrer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

MAX_WINDOW = timedelta(days=3_660)
"""The longest window, ten years: longer than any referral is remembered, short enough to be added to any date."""


class Touch(IntEnum):
    """Tells which touch wins when a buyer has several. The numbers are those of the contract."""

    FIRST = 1
    LAST = 2


class Binding(IntEnum):
    """Tells how long a referral lasts. The numbers are those of the contract."""

    LIFETIME = 1
    PER_CONVERSION = 2


class Bindable(IntEnum):
    """Tells who may be bound or credited for. The numbers are those of the contract."""

    NEW_ONLY = 1
    UNBOUND = 2


class CreditBeforeBinding(IntEnum):
    """Tells who is credited for a conversion that occurred before its buyer was bound. The numbers are those of the
    contract."""

    UNSPECIFIED = 0
    CREDITED = 1
    NOT_CREDITED = 2


class VisitorCookie(IntEnum):
    """Tells whether the redirect keeps a visitor id in browsers. The numbers are those of the contract."""

    UNSPECIFIED = 0
    NEVER = 1
    ON_CONSENT = 2
    CONSENT_ASKED = 3

    def allows(self, consent: bool | None) -> bool:
        """Whether an id of a visitor may be kept, given the consent that their request states; None if it states
        nothing."""
        if self is VisitorCookie.NEVER:
            return False
        return self is VisitorCookie.CONSENT_ASKED if consent is None else consent


@dataclass(frozen=True, slots=True)
class Policy:
    """How conversions find their referrer."""

    touch: Touch
    window: timedelta
    """The time for which a touch counts: more than zero, at most MAX_WINDOW."""
    binding: Binding
    bindable: Bindable
    enroll_buyers: bool
    default_sponsor_id: str
    """The sponsor of those who come without a touch; empty for none."""
    credit_before_binding: CreditBeforeBinding = CreditBeforeBinding.UNSPECIFIED
    """Who is credited for what occurred before the binding. UNSPECIFIED credits the sponsor, as it was before anybody
    could say."""

    def is_in_window(self, touched_at: datetime, converted_at: datetime) -> bool:
        """Whether a touch is young enough for a conversion: the window is half open."""
        return converted_at - touched_at < self.window


@dataclass(frozen=True, slots=True)
class Program:
    """A referral program."""

    program_id: str
    title: str
    currency_code: str
    """An ISO 4217 code. It is fixed at creation, because every amount on record is in it."""
    policy: Policy
    allowed_hosts: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    visitor_cookie: VisitorCookie = VisitorCookie.UNSPECIFIED
