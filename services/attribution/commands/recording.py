"""Keeping decided conversions: rows, early reversals and events in the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import invalid
from services.attribution import events
from services.attribution.domain.conversion import AttributedConversion, Conversion
from services.attribution.domain.policy import Program
from services.attribution.domain.reversal import RemainingAmounts, Reversal, ReversedAmounts, after, take_what_is_there
from services.attribution.store.conversions import insert_conversions, new_keys
from services.attribution.store.reversals import load_reversals_of, resolve_pending
from services.attribution.store.tree import load_members
from services.attribution.wire.reversals import extent_of


async def keep(
    conn: AsyncConnection, program: Program, decided: Sequence[AttributedConversion], now: datetime
) -> list[Conversion]:
    """Stores conversions that are not recorded yet, in their order, and puts their events into the outbox.

    The caller holds `locks.conversions_may_arrive`.
    """
    if not decided:
        return []
    members = events.upline_members(await load_members(conn, {key for each in decided for key in each.upline}))
    keys = await new_keys(conn, len(decided))
    fresh = [_conversion(each, key, now) for each, key in zip(decided, keys, strict=True)]
    facts = [
        events.conversion_recorded(program, each, conversion, members, now)
        for each, conversion in zip(decided, fresh, strict=True)
    ]
    for each, fact in zip(decided, facts, strict=True):
        if (size := fact.ByteSize()) > events.MAX_PAYLOAD_BYTES:
            raise invalid(
                each.draft.path or each.draft.conversion_id,
                f"has {size:,} bytes with its upline's attributes; at most {events.MAX_PAYLOAD_BYTES:,} are taken:"
                " leave out attributes that no rule asks for",
                "CONVERSION_TOO_LARGE",
            )
    stored, reversals = await _apply_early(conn, program, decided, fresh)
    facts += [events.conversion_reversed(program, each, now) for each in reversals]
    await insert_conversions(conn, program.program_id, [(d.draft, c) for d, c in zip(decided, stored, strict=True)])
    await outbox.append(conn, events.messages(keys[0], facts))
    return stored


def _conversion(decided: AttributedConversion, key: int, now: datetime) -> Conversion:
    draft = decided.draft
    return Conversion(
        key, draft.conversion_id, draft.amount_minor, draft.content, draft.body_hash, decided.attribution, 0, False, now
    )


async def _apply_early(
    conn: AsyncConnection, program: Program, decided: Sequence[AttributedConversion], fresh: Sequence[Conversion]
) -> tuple[list[Conversion], list[Reversal]]:
    """Applies reversals that came before their conversions; returns conversions after them, and those that took something."""
    waiting: dict[str, list[Reversal]] = defaultdict(list)
    ids = [each.conversion_id for each in fresh]
    for early in await load_reversals_of(conn, program.program_id, ids, pending=True):
        waiting[early.conversion_id].append(early)
    if not waiting:
        return list(fresh), []
    stored, settled = [], []
    for each, conversion in zip(decided, fresh, strict=True):
        left = RemainingAmounts(conversion.amount_minor, each.draft.line_amounts)
        for reversal in waiting.get(conversion.conversion_id, ()):
            taken = take_what_is_there(left, extent_of(reversal))
            settled.append(replace(reversal, taken=taken or ReversedAmounts(0), pending=False))
            left = after(left, taken) if taken else left
        stored.append(
            replace(
                conversion,
                reversed_minor=conversion.amount_minor - left.amount_minor,
                is_reversed=left.is_reversed,
            )
        )
    await resolve_pending(conn, settled)
    return stored, [each for each in settled if each.taken.amount_minor or each.taken.completes]
