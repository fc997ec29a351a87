"""Events of attribution: from the contract to domain values."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from google.protobuf.message import DecodeError
from upline.attribution.v1 import conversion_pb2, events_pb2

from chassis.comparison import Fact
from chassis.times import to_datetime
from services.rewards.domain.conversion import (
    ArrivedConversion,
    CallPlace,
    Conversion,
    ConversionKey,
    FactBatch,
    Reversal,
    ReversalKey,
)
from services.rewards.domain.details import Details, Line

_REASONS = conversion_pb2.AttributionReason.DESCRIPTOR


FactKey = tuple[str, str, str]
"""(kind of fact, program_id, conversion_id or reversal_id)."""


class ToldFact(NamedTuple):
    """A fact with a message that tells it."""

    program_id: str
    event_id: str
    payload: bytes
    """A message with the event of the fact, and no other."""


class UnknownFactError(ValueError):
    """A fact of a kind that this version does not know; it is set aside until a version comes that does."""


FACTS_A_STEP = 8
"""So many facts are read at a time, the largest of them in some milliseconds."""


class FactReading:
    """The facts that messages of stream CONVERSIONS tell; one that stands in them twice comes once."""

    def __init__(self) -> None:
        self.unreadable: dict[int, Exception] = {}
        """Why a message, by its place among all, or the first of its facts at fault, cannot be read."""
        self._conversions: dict[ConversionKey, ArrivedConversion] = {}
        self._reversals: dict[ReversalKey, Reversal] = {}

    @property
    def facts(self) -> FactBatch:
        """The facts that were read, in the order of recording."""
        return FactBatch(
            sorted(self._conversions.values(), key=lambda each: each.conversion.turn),
            sorted(self._reversals.values(), key=lambda each: each.turn),
        )

    def read_each(self, payloads: Sequence[bytes]) -> Iterator[None]:
        """Reads a few facts after the others."""
        for place, payload in enumerate(payloads):
            try:
                batch = events_pb2.ConversionEventBatch.FromString(payload)
            except DecodeError as error:
                self.unreadable[place] = error
                continue
            for number, event in enumerate(batch.events):
                try:
                    self._read(event)
                except ValueError as error:
                    self.unreadable.setdefault(place, error)
                if number % FACTS_A_STEP == 0:
                    yield

    def _read(self, event: events_pb2.ConversionEvent) -> None:
        kind = event.WhichOneof("fact")
        if kind == "recorded":
            recorded = event.recorded
            conversion = read_conversion(recorded)
            self._conversions[conversion.key] = ArrivedConversion(conversion, recorded.SerializeToString())
        elif kind == "reversed":
            reversal = read_reversal(event.reversed)
            self._reversals[reversal.key] = reversal
        else:
            raise UnknownFactError(f"event {event.event_id!r} tells nothing this version knows")


def read_told_facts(payload: bytes) -> list[Fact]:
    """The facts that a message tells, by their names only; none where it cannot be read."""
    try:
        events = events_pb2.ConversionEventBatch.FromString(payload).events
    except DecodeError:
        return []
    return [Fact(_program_id(each), each.event_id) for each in events]


def find_events(
    payloads: Sequence[bytes], positions: Mapping[FactKey, int], found: dict[int, ToldFact]
) -> Iterator[None]:
    """Looks through messages for facts, message after message. Puts those that it finds into `found`, by their
    `positions`."""
    for payload in payloads:
        try:
            told = events_pb2.ConversionEventBatch.FromString(payload).events
        except DecodeError:
            continue
        for each in told:
            if (key := _key(each)) in positions:
                message = events_pb2.ConversionEventBatch(events=[each]).SerializeToString()
                found[positions[key]] = ToldFact(_program_id(each), each.event_id, message)
        yield


def fact_key(fact: ArrivedConversion | Reversal) -> FactKey:
    """The name of a fact."""
    return ("recorded" if isinstance(fact, ArrivedConversion) else "reversed"), *fact.key


def _key(event: events_pb2.ConversionEvent) -> FactKey:
    if event.HasField("recorded"):
        return "recorded", _program_id(event), event.recorded.conversion.draft.conversion_id
    return "reversed", _program_id(event), event.reversed.reversal.draft.reversal_id


def _program_id(event: events_pb2.ConversionEvent) -> str:
    if event.HasField("recorded"):
        return event.recorded.conversion.program_id
    return event.reversed.reversal.program_id


def read_stored_conversion(event: bytes) -> Conversion:
    """The conversion in the stored bytes of an event."""
    return read_conversion(events_pb2.ConversionRecorded.FromString(event))


def read_conversion(message: events_pb2.ConversionRecorded) -> Conversion:
    """The conversion in an event."""
    conversion = message.conversion
    draft = conversion.draft
    amount_minor = draft.amount.amount_minor
    return Conversion(
        conversion.program_id,
        draft.conversion_id,
        draft.event_type,
        draft.amount.currency_code,
        amount_minor,
        draft.margin_minor if draft.HasField("margin_minor") else None,
        draft.buyer_id,
        to_datetime(draft.occurred_at),
        to_datetime(conversion.create_time),
        tuple([member.participant_id for member in message.upline]),
        amount_minor,
        read_details=partial(read_details, message),
        call_place=_read_place(message.call_place),
        trace_id=message.trace_id,
    )


def read_details(message: events_pb2.ConversionRecorded) -> Details:
    """The details of a conversion, which only some plans ask for."""
    draft, attribution = message.conversion.draft, message.conversion.attribution
    return Details(
        lines=[
            Line(each.line_id, each.sku, each.category, each.amount_minor, dict(each.attributes))
            for each in draft.lines
        ],
        attributes=draft.attributes,
        new_customer=draft.new_customer,
        channel=attribution.channel,
        campaign=attribution.campaign,
        code=attribution.code,
        link_id=attribution.link_id,
        link_owner_id=message.link_owner_id,
        link_owner_attributes=message.link_owner_attributes,
        share_percent=message.share_percent,
        link_share_percent=message.link_share_percent,
        uncredited=_uncredited(attribution),
        bind_time=to_datetime(message.bind_time) if message.HasField("bind_time") else None,
        buyer_attributes=message.buyer_attributes,
        upline_attributes=[member.attributes for member in message.upline],
    )


def _uncredited(attribution: conversion_pb2.Attribution) -> str:
    if attribution.referrer_id:
        return ""
    reason = _REASONS.values_by_number.get(attribution.reason)
    return reason.name.removeprefix("ATTRIBUTION_REASON_").lower() if reason else ""


def read_reversal(message: events_pb2.ConversionReversed) -> Reversal:
    """The reversal in an event."""
    reversal = message.reversal
    return Reversal(
        reversal.program_id,
        reversal.draft.reversal_id,
        reversal.draft.conversion_id,
        reversal.amount_minor,
        reversal.completes,
        to_datetime(reversal.create_time),
        tuple([(each.line_id, each.amount_minor) for each in reversal.lines]),
        _read_place(message.call_place),
        message.trace_id,
    )


def _read_place(message: events_pb2.CallPlace) -> CallPlace:
    return CallPlace(message.call_key, message.number)
