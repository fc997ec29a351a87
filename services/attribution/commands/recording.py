"""Storing attributed conversions: rows, early reversals and events in the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import invalid
from chassis.stream import Message
from services.attribution import events
from services.attribution.domain.conversion import AttributedConversion, Conversion
from services.attribution.domain.policy import Program
from services.attribution.domain.reversal import (
    RemainingAmounts,
    Reversal,
    ReversedAmounts,
    remaining_after,
    reverse_what_remains,
)
from services.attribution.store.conversions import insert_conversions, new_keys
from services.attribution.store.reversals import apply_pending, load_reversals_of
from services.attribution.store.tree import load_members
from services.attribution.wire.reversals import extent_of


async def store_conversions(
    conn: AsyncConnection,
    program: Program,
    attributed: Sequence[AttributedConversion],
    now: datetime,
    people: Sequence[Message],
) -> list[Conversion]:
    """Stores conversions that are not recorded yet, in their order, and puts their events into the outbox, behind the
    messages about people whom the same call changed.

    The caller holds `locks.admit_conversions`.
    """
    if not attributed:
        await outbox.append(conn, people)
        return []
    members = events.upline_members(await load_members(conn, {key for each in attributed for key in each.upline}))
    keys = await new_keys(conn, len(attributed))
    fresh = [_conversion(each, key, now) for each, key in zip(attributed, keys, strict=True)]
    facts = [
        events.conversion_recorded(program, each, conversion, members, now)
        for each, conversion in zip(attributed, fresh, strict=True)
    ]
    for each, fact in zip(attributed, facts, strict=True):
        if (size := fact.ByteSize()) > events.MAX_PAYLOAD_BYTES:
            raise invalid(
                each.draft.path or each.draft.conversion_id,
                f"has {size:,} bytes with its upline's attributes; at most {events.MAX_PAYLOAD_BYTES:,} are taken:"
                " leave out attributes that no rule asks for",
                "CONVERSION_TOO_LARGE",
            )
    stored, reversals = await _apply_early_reversals(conn, program, attributed, fresh)
    facts += [events.conversion_reversed(program, each, now) for each in reversals]
    drafts = [each.draft for each in attributed]
    await insert_conversions(conn, program.program_id, zip(drafts, stored, strict=True))
    await outbox.append(conn, [*people, *events.messages(keys[0], facts)])
    return stored


def _conversion(attributed: AttributedConversion, key: int, now: datetime) -> Conversion:
    draft = attributed.draft
    return Conversion(
        key=key,
        conversion_id=draft.conversion_id,
        amount_minor=draft.amount_minor,
        content=draft.content,
        body_hash=draft.body_hash,
        attribution=attributed.attribution,
        reversed_minor=0,
        is_reversed=False,
        create_time=now,
    )


async def _apply_early_reversals(
    conn: AsyncConnection, program: Program, attributed: Sequence[AttributedConversion], fresh: Sequence[Conversion]
) -> tuple[list[Conversion], list[Reversal]]:
    """Applies reversals that came before their conversions.

    Returns the conversions as they are after that, and the reversals that took something back.
    """
    waiting: dict[str, list[Reversal]] = defaultdict(list)
    ids = [each.conversion_id for each in fresh]
    for early in await load_reversals_of(conn, program.program_id, ids, pending=True):
        waiting[early.conversion_id].append(early)
    if not waiting:
        return list(fresh), []
    stored, applied = [], []
    for each, conversion in zip(attributed, fresh, strict=True):
        remaining = RemainingAmounts(conversion.amount_minor, each.draft.line_amounts)
        for reversal in waiting.get(conversion.conversion_id, ()):
            amounts = reverse_what_remains(remaining, extent_of(reversal))
            applied.append(replace(reversal, amounts=amounts or ReversedAmounts(0), pending=False))
            remaining = remaining_after(remaining, amounts) if amounts else remaining
        stored.append(
            replace(
                conversion,
                reversed_minor=conversion.amount_minor - remaining.amount_minor,
                is_reversed=remaining.is_reversed,
            )
        )
    await apply_pending(conn, applied)
    return stored, [each for each in applied if each.amounts.amount_minor or each.amounts.completes]
