"""Reversals between contract and domain."""

from datetime import datetime

from upline.attribution.v1 import conversion_pb2

from chassis.errors import invalid
from chassis.idempotency import body_hash
from chassis.times import to_timestamp
from services.attribution.domain.reversal import AmountExtent, Extent, LinesExtent, Reversal, ReversalDraft, WholeExtent
from services.attribution.wire.conversions import read_money_currency, read_occurred_at
from services.attribution.wire.storable import require_storable


def read_reversal(message: conversion_pb2.ReversalDraft, path: str, now: datetime) -> ReversalDraft:
    """A reversal as the caller reports it, with `occurred_at` filled in. Raises INVALID_ARGUMENT, which names the
    field."""
    extent = _read_extent(message, path)
    complete = conversion_pb2.ReversalDraft()
    complete.CopyFrom(message)
    read_occurred_at(complete.occurred_at, message.HasField("occurred_at"), path, now)
    return ReversalDraft(
        path=path,
        reversal_id=message.reversal_id,
        conversion_id=message.conversion_id,
        currency_code=message.amount.currency_code if isinstance(extent, AmountExtent) else "",
        extent=extent,
        content=complete.SerializeToString(),
        body_hash=body_hash(message),
    )


def extent_of(reversal: Reversal) -> Extent:
    """The extent that a stored reversal asks for."""
    return _read_extent(conversion_pb2.ReversalDraft.FromString(reversal.content), "reversal")


def reversal_message(program_id: str, reversal: Reversal) -> conversion_pb2.Reversal:
    """The reversal as the contract has it."""
    message = conversion_pb2.Reversal(
        program_id=program_id,
        amount_minor=reversal.amounts.amount_minor,
        lines=[
            conversion_pb2.LineReversal(line_id=line_id, amount_minor=amount_minor)
            for line_id, amount_minor in reversal.amounts.lines.items()
        ],
        completes=reversal.amounts.completes,
        pending=reversal.pending,
        create_time=to_timestamp(reversal.create_time),
    )
    message.draft.MergeFromString(reversal.content)
    return message


def _read_extent(message: conversion_pb2.ReversalDraft, path: str) -> Extent:
    kind = message.WhichOneof("extent")
    if kind == "amount":
        read_money_currency(message.amount.currency_code, f"{path}.amount.currency_code")
        if message.amount.amount_minor <= 0:
            raise invalid(f"{path}.amount.amount_minor", "must be more than 0")
        return AmountExtent(message.amount.amount_minor)
    if kind == "lines":
        amounts: dict[str, int] = {}
        for place, line in enumerate(message.lines.lines):
            require_storable(f"{path}.lines.lines[{place}].line_id", line.line_id)
            if line.line_id in amounts:
                raise invalid(f"{path}.lines.lines[{place}].line_id", f"{line.line_id!r} is there twice")
            amounts[line.line_id] = line.amount_minor
        return LinesExtent(amounts)
    return WholeExtent()
