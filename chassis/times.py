"""Protobuf timestamps and durations as aware datetimes and spans, and back."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_YEAR, MAX_YEAR = 2, 9998
"""The bounds of all moments: they leave room for time zones, windows and holds to be added without overflow."""


def to_datetime(value: Timestamp) -> datetime:
    """The moment, UTC, to the microsecond. Raises ValueError outside years 2 to 9998."""
    try:
        moment = _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError as error:
        raise ValueError("timestamp is out of range") from error
    if not MIN_YEAR <= moment.year <= MAX_YEAR:
        raise ValueError("timestamp is out of range")
    return moment


def to_timestamp(moment: datetime) -> Timestamp:
    """The moment as a protobuf timestamp."""
    delta = moment - _EPOCH
    return Timestamp(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1000)


def write_timestamp(target: Timestamp, moment: datetime) -> None:
    """Writes the moment into a message that is being made: a message that is put into another one is copied."""
    delta = moment - _EPOCH
    target.seconds, target.nanos = delta.days * 86_400 + delta.seconds, delta.microseconds * 1000


def to_timedelta(value: Duration) -> timedelta:
    """The span, to the microsecond. Raises ValueError if it does not fit."""
    try:
        return timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError as error:
        raise ValueError("duration is out of range") from error


def to_duration(span: timedelta) -> Duration:
    """The span as a protobuf duration."""
    return Duration(seconds=span.days * 86_400 + span.seconds, nanos=span.microseconds * 1000)


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
