"""Conversions between contract and domain."""

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from upline.attribution.v1 import conversion_pb2

from chassis.errors import invalid
from chassis.idempotency import body_hash
from chassis.times import to_datetime, to_timestamp
from services.attribution.domain.attribution import Attribution, Candidate, LosingCandidate, Reason
from services.attribution.domain.conversion import MAX_AHEAD, Conversion, ConversionDraft
from services.attribution.wire.programs import is_currency
from services.attribution.wire.storable import require_storable, require_storable_map

MAX_AMOUNT_MINOR = 10**15
"""The largest amount: ten trillion in a currency of cents. No reward is larger either, whatever a plan makes of it."""


def read_conversion(message: conversion_pb2.ConversionDraft, path: str, now: datetime) -> ConversionDraft:
    """A conversion as the caller reports it, with `occurred_at` and `line_id` filled in. Raises INVALID_ARGUMENT, which
    names the field."""
    digest = body_hash(message)
    if message.HasField("amount"):
        read_money_currency(message.amount.currency_code, f"{path}.amount.currency_code")
        if not 0 <= message.amount.amount_minor <= MAX_AMOUNT_MINOR:
            raise invalid(f"{path}.amount.amount_minor", f"must not be negative, and at most {MAX_AMOUNT_MINOR}")
    require_storable(f"{path}.code", message.code)
    require_storable(f"{path}.visitor_id", message.visitor_id)
    require_storable_map(f"{path}.attributes", message.attributes)
    complete = conversion_pb2.ConversionDraft()
    complete.CopyFrom(message)
    occurred_at = read_occurred_at(complete.occurred_at, message.HasField("occurred_at"), path, now)
    return ConversionDraft(
        path=path,
        conversion_id=message.conversion_id,
        event_type=message.event_type,
        buyer_id=message.buyer_id,
        currency_code=message.amount.currency_code,
        amount_minor=message.amount.amount_minor,
        line_amounts=_number_lines(complete, path),
        click_token=message.click_token,
        code=message.code,
        visitor_id=message.visitor_id,
        occurred_at=occurred_at,
        new_customer=message.new_customer if message.HasField("new_customer") else None,
        content=complete.SerializeToString(),
        body_hash=digest,
    )


def sign_up(participant_id: str, occurred_at: datetime) -> ConversionDraft:
    """The conversion that an enrolment records."""
    content = conversion_pb2.ConversionDraft(
        conversion_id=f"sign_up:{participant_id}",
        event_type="sign_up",
        buyer_id=participant_id,
        occurred_at=to_timestamp(occurred_at),
    )
    return ConversionDraft(
        path="",
        conversion_id=content.conversion_id,
        event_type=content.event_type,
        buyer_id=participant_id,
        currency_code="",
        amount_minor=0,
        line_amounts={},
        click_token="",
        code="",
        visitor_id="",
        occurred_at=occurred_at,
        new_customer=None,
        content=content.SerializeToString(),
        body_hash=body_hash(content),
    )


def read_money_currency(currency_code: str, path: str) -> None:
    """Raises INVALID_ARGUMENT if there is no such currency."""
    if not is_currency(currency_code):
        raise invalid(path, f"{currency_code!r} is not a currency of ISO 4217")


def read_occurred_at(value: Timestamp, is_given: bool, path: str, now: datetime) -> datetime:
    """The time at which it happened; fills an empty `value` with `now`. Raises INVALID_ARGUMENT if it lies ahead."""
    if not is_given:
        value.CopyFrom(to_timestamp(now))
        return now
    return read_past(value, f"{path}.occurred_at", now)


def read_past(value: Timestamp, path: str, now: datetime) -> datetime:
    """The time at which something happened. Raises INVALID_ARGUMENT if it is out of range, or lies ahead by more than
    clocks differ."""
    try:
        moment = to_datetime(value)
    except ValueError as error:
        raise invalid(path, str(error)) from error
    if moment > now + MAX_AHEAD:
        raise invalid(path, f"is more than {MAX_AHEAD // timedelta(minutes=1)} minutes in the future")
    return moment


def line_amounts(content: bytes) -> dict[str, int]:
    """The minor units of a stored report by line id."""
    return {line.line_id: line.amount_minor for line in conversion_pb2.ConversionDraft.FromString(content).lines}


def conversion_message(program_id: str, currency_code: str, conversion: Conversion) -> conversion_pb2.Conversion:
    """The conversion as the contract has it; a missing amount is zero in the program's currency."""
    message = conversion_pb2.Conversion(
        program_id=program_id,
        attribution=attribution_message(conversion.attribution),
        create_time=to_timestamp(conversion.create_time),
        reversed_minor=conversion.reversed_minor,
        reversed=conversion.is_reversed,
    )
    message.draft.MergeFromString(conversion.content)
    if not message.draft.HasField("amount"):
        message.draft.amount.currency_code = currency_code
    return message


def attribution_message(attribution: Attribution, with_losers: bool = True) -> conversion_pb2.Attribution:
    """The attribution as the contract has it."""
    return conversion_pb2.Attribution(
        referrer_id=attribution.referrer_id,
        reason=int(attribution.reason),  # type: ignore[arg-type]
        link_id=attribution.link_id,
        code=attribution.code,
        channel=attribution.channel,
        campaign=attribution.campaign,
        losers=[_loser_message(each) for each in attribution.losers] if with_losers else (),
    )


def pack_losers(losers: tuple[LosingCandidate, ...]) -> bytes | None:
    """The losing candidates as they are stored: an encoded `Attribution` with nothing else in it, None if there are
    none."""
    if not losers:
        return None
    return conversion_pb2.Attribution(losers=[_loser_message(each) for each in losers]).SerializeToString()


def unpack_losers(packed: bytes | None) -> tuple[LosingCandidate, ...]:
    """The losing candidates of a stored conversion."""
    if packed is None:
        return ()
    return tuple(_read_loser(each) for each in conversion_pb2.Attribution.FromString(packed).losers)


def _number_lines(draft: conversion_pb2.ConversionDraft, path: str) -> dict[str, int]:
    """The amounts by line id. Lines without an id get their position; ids are unique, and amounts sum to the whole."""
    amounts: dict[str, int] = {}
    for place, line in enumerate(draft.lines):
        line.line_id = line.line_id or str(place + 1)
        require_storable(f"{path}.lines[{place}]", line.line_id + line.sku + line.category)
        require_storable_map(f"{path}.lines[{place}].attributes", line.attributes)
        if line.line_id in amounts:
            raise invalid(f"{path}.lines[{place}].line_id", f"{line.line_id!r} is there twice")
        amounts[line.line_id] = line.amount_minor
    if amounts and (total := sum(amounts.values())) != draft.amount.amount_minor:
        raise invalid(f"{path}.lines", f"sum to {total}, but the amount is {draft.amount.amount_minor} minor units")
    return amounts


def _loser_message(loser: LosingCandidate) -> conversion_pb2.AttributionCandidate:
    candidate = loser.candidate
    return conversion_pb2.AttributionCandidate(
        referrer_id=candidate.referrer_id,
        link_id=candidate.link_id,
        code=candidate.code,
        touch_time=None if candidate.touched_at is None else to_timestamp(candidate.touched_at),
        reason=int(loser.reason),  # type: ignore[arg-type]
    )


def _read_loser(message: conversion_pb2.AttributionCandidate) -> LosingCandidate:
    touched_at = to_datetime(message.touch_time) if message.HasField("touch_time") else None
    return LosingCandidate(
        Candidate(message.referrer_id, message.link_id, message.code, touched_at=touched_at), Reason(message.reason)
    )
