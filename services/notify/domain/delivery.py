"""Deliveries: what they are, and what becomes of one that was tried."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from services.notify.domain.cause import Kind
from services.notify.domain.inbox import Entry

RETRY_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The pauses between attempts: 10 attempts within 76 hours, the example of Standard Webhooks 1.0.0 (section
"Deliverability and reliability" of spec/standard-webhooks.md). After the last one a delivery is parked."""
REST_SECONDS = (1.0, 5.0, 30.0, 120.0, 300.0)
"""How long an endpoint is left alone that failed once, twice, … in a row: it is tried with one delivery at a time, and
all others wait without spending their attempts."""
MAX_RETRY_AFTER_SECONDS = 86_400.0
"""The longest that a receiver may ask to be left alone, the longest pause of the schedule; who asks for more is tried
again after that."""
SPREAD = (0.8, 1.2)
"""Between what a pause is multiplied with, by chance."""
LONGEST_PAUSE = timedelta(seconds=max(*RETRY_SECONDS, MAX_RETRY_AFTER_SECONDS) * max(SPREAD))
"""The longest that a delivery or an endpoint is left alone. A time that is further ahead was set before the clock of
the database went back, as in a failover, and says nothing any more."""
FAILING_LIFE = timedelta(days=5)
"""An endpoint that has answered nothing well for so long is switched off."""
GONE_STATUS = 410
"""The answer by which a receiver says that it wants nothing any more."""
PASSING_STATUSES = frozenset({408, 425, 429})
"""The answers of 4xx that say something of the endpoint and the moment, and nothing of what was sent."""
MAX_HISTORY = 50
"""The attempts that are kept of each delivery: five times the schedule."""
MAX_ERROR_CHARACTERS = 500


class DeliveryState(IntEnum):
    """The states of a delivery; stored and sent under these numbers."""

    PENDING = 1
    SENDING = 2
    RETRYING = 3
    DELIVERED = 4
    PARKED = 5


WAITING = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.RETRYING)
"""The states of a delivery that is yet to be sent."""


class DeliveryChannel(IntEnum):
    """The ways in which something is delivered; stored and sent under these numbers."""

    WEBHOOK = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is listed."""

    delivery_no: int
    delivery_id: UUID
    channel: DeliveryChannel
    endpoint_id: UUID
    participant_id: str
    cause_id: str
    kind: Kind
    state: DeliveryState
    attempts: int
    due_time: datetime | None
    error: str
    create_time: datetime
    update_time: datetime


class Attempt(NamedTuple):
    """One attempt of a delivery."""

    attempt: int
    attempt_time: datetime
    duration_ms: int | None
    """None while it lasts, and where the process died meanwhile."""
    http_status: int
    error: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery that this process is to send now."""

    delivery_no: int
    delivery_id: UUID
    endpoint_id: UUID
    participant_id: str
    program_id: str
    attempts: int
    """How often it was tried, with this time."""
    tries: int
    """How often of these by the present schedule."""
    lease_until: datetime
    """Until when nobody else sends it; by this it is known afterwards whether that is so."""
    url: str
    secret_version: int
    signs_twice: bool
    """Whether the secret before the newest one signs too."""
    is_failing: bool
    """Whether the endpoint has failed since it succeeded last."""
    entry: Entry | None
    """The entry that it tells of; None where that is not kept any more."""

    @property
    def message_id(self) -> str:
        """The name under which its receiver gets it, however often."""
        return message_id(self.delivery_id)


def message_id(delivery_id: UUID) -> str:
    """The name of a delivery towards its receiver: letters and digits, as the signature needs them."""
    return f"msg_{delivery_id.hex}"


class Result(NamedTuple):
    """The result of an attempt."""

    http_status: int = 0
    """The status of the answer; 0 where none came."""
    error: str = ""
    """The fault; empty where the receiver has it."""
    retry_after_seconds: float = 0.0
    """How long the receiver asks to be left alone."""

    is_final: bool = False
    """Whether trying again is of no use: the receiver wants nothing any more, or there is nothing to send."""


class Verdict(NamedTuple):
    """The consequence of an attempt."""

    state: DeliveryState
    pause_seconds: float = 0.0
    """The time after which it is tried again, if it is."""


def after(result: Result, tries: int, spread: float = 1.0) -> Verdict:
    """The consequence for a delivery of an attempt, the one that is number `tries` of its schedule. Its pause is
    so many times as long as `spread` says, by chance: what failed together is not tried together again."""
    if not result.error:
        return Verdict(DeliveryState.DELIVERED)
    if result.is_final or tries > len(RETRY_SECONDS):
        return Verdict(DeliveryState.PARKED)
    return Verdict(DeliveryState.RETRYING, max(RETRY_SECONDS[tries - 1] * spread, asked_for(result)))


def is_rejected(result: Result) -> bool:
    """Whether an endpoint answered, and refused this one delivery: another one may well be taken."""
    status = result.http_status
    return 400 <= status < 500 and status != GONE_STATUS and status not in PASSING_STATUSES


def rest_seconds(result: Result, failures: int) -> float:
    """How long an endpoint is left alone after its failure number `failures` in a row."""
    return max(REST_SECONDS[min(failures, len(REST_SECONDS)) - 1], asked_for(result))


def asked_for(result: Result) -> float:
    """The time for which the receiver asks to be left alone, as far as that is heeded."""
    return min(result.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)


def off_reason(result: Result, *, is_hopeless: bool) -> str:
    """Why an endpoint is switched off that has just failed, and has for FAILING_LIFE where `is_hopeless`; empty where
    it is not."""
    if result.http_status == GONE_STATUS:
        return "it answered 410 Gone: it wants nothing any more"
    if is_hopeless:
        return f"nothing could be delivered for {FAILING_LIFE.days} days; at last: {result.error}"
    return ""
