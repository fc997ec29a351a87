"""A program, and how its conversions find their referrer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

MAX_WINDOW = timedelta(days=3_660)
"""Ten years: longer than any referral is remembered, short enough to be added to any date."""


class Touch(IntEnum):
    """Which touch wins when a buyer has several. Numbers as in the contract."""

    FIRST = 1
    LAST = 2


class Binding(IntEnum):
    """How long a referral lasts. Numbers as in the contract."""

    LIFETIME = 1
    PER_CONVERSION = 2


class Bindable(IntEnum):
    """Who may be bound or credited for. Numbers as in the contract."""

    NEW_ONLY = 1
    UNBOUND = 2


class CreditBeforeBinding(IntEnum):
    """Who is credited for what occurred before the buyer was bound. Numbers as in the contract."""

    UNSPECIFIED = 0
    CREDITED = 1
    NOT_CREDITED = 2


class VisitorCookie(IntEnum):
    """Whether the redirect keeps a visitor id in browsers. Numbers as in the contract."""

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
    """More than zero, at most MAX_WINDOW."""
    binding: Binding
    bindable: Bindable
    enroll_buyers: bool
    default_sponsor_id: str
    """Empty for none."""
    credit_before_binding: CreditBeforeBinding = CreditBeforeBinding.UNSPECIFIED
    """Who is credited for what occurred before the binding. UNSPECIFIED credits the sponsor, as it was before anybody
    could say."""

    def counts(self, touched_at: datetime, converted_at: datetime) -> bool:
        """Whether a touch is young enough: the window is half open."""
        return converted_at - touched_at < self.window


@dataclass(frozen=True, slots=True)
class Program:
    """A referral program."""

    program_id: str
    title: str
    currency_code: str
    """ISO 4217. Fixed at creation, because every amount on record is in it."""
    policy: Policy
    allowed_hosts: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    visitor_cookie: VisitorCookie = VisitorCookie.UNSPECIFIED
