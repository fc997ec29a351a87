"""Reversing conversions: taking the whole or a part of them back."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import already_exists, invalid
from services.attribution import events
from services.attribution.commands.deps import Deps
from services.attribution.commands.races import in_transaction
from services.attribution.domain.conversion import Conversion
from services.attribution.domain.policy import Program
from services.attribution.domain.reversal import (
    RemainingAmounts,
    Reversal,
    ReversalDraft,
    ReversalError,
    ReversedAmounts,
    remaining_after,
    reversed_amounts,
)
from services.attribution.store import locks
from services.attribution.store.conversions import load_conversions, lock_conversions, set_reversed
from services.attribution.store.programs import load_program
from services.attribution.store.reversals import insert_reversals, load_reversals, load_reversals_of, new_keys
from services.attribution.wire.conversions import line_amounts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReversalResult:
    """The result of a call that reverses conversions."""

    fresh: list[Reversal]
    """The reversals that this call recorded."""
    existing: list[Reversal]
    """The reversals that were recorded before, with the same content."""


async def reverse_conversions(
    deps: Deps, program_id: str, drafts: Sequence[ReversalDraft], now: datetime
) -> ReversalResult:
    """Takes conversions of one program back, in the order given: all or none. A reversal whose conversion is not there
    is put aside until it comes.

    Raises NOT_FOUND (program), INVALID_ARGUMENT (more than is left, unknown line, currency) or ALREADY_EXISTS (same id,
    other content).
    """

    async def work(conn: AsyncConnection) -> ReversalResult:
        program = await load_program(conn, program_id)
        _check_currencies(program, drafts)
        conversions = await _lock(conn, program_id, {each.conversion_id for each in drafts})
        fresh, existing = await _not_recorded(conn, program_id, drafts)
        return ReversalResult(await _apply(conn, program, fresh, conversions, now), existing)

    result = await in_transaction(deps.database, work)
    deps.relay.wake()
    for each in result.fresh if log.is_enabled_for(logging.DEBUG) else ():
        log.debug("reversal recorded", program=program_id, reversal=each.reversal_id, conversion=each.conversion_id)
    return result


def _check_currencies(program: Program, drafts: Sequence[ReversalDraft]) -> None:
    for draft in drafts:
        if draft.currency_code not in ("", program.currency_code):
            raise invalid(f"{draft.path}.amount.currency_code", f"the program counts in {program.currency_code}")


async def _lock(conn: AsyncConnection, program_id: str, conversion_ids: set[str]) -> Mapping[str, Conversion]:
    """The conversions that are there, locked. Where one is missing, none arrives until the transaction ends."""
    found = await load_conversions(conn, program_id, conversion_ids)
    if found.keys() != conversion_ids:
        await locks.bar_conversions(conn, program_id)
    return await lock_conversions(conn, program_id, conversion_ids)


async def _not_recorded(
    conn: AsyncConnection, program_id: str, drafts: Sequence[ReversalDraft]
) -> tuple[list[ReversalDraft], list[Reversal]]:
    """The drafts to record, each id once, and what was recorded before under the other ids."""
    stored = await load_reversals(conn, program_id, [each.reversal_id for each in drafts])
    seen = {reversal_id: each.body_hash for reversal_id, each in stored.items()}
    fresh = []
    for draft in drafts:
        known = seen.setdefault(draft.reversal_id, draft.body_hash)
        if known != draft.body_hash:
            raise already_exists(
                "REVERSAL_EXISTS",
                f"reversal {draft.reversal_id!r} is recorded with another content",
                f"{draft.path}.reversal_id",
            )
        if known is draft.body_hash:
            fresh.append(draft)
    return fresh, list(stored.values())


async def _apply(
    conn: AsyncConnection,
    program: Program,
    drafts: Sequence[ReversalDraft],
    conversions: Mapping[str, Conversion],
    now: datetime,
) -> list[Reversal]:
    if not drafts:
        return []
    remaining = await _load_remaining(conn, program, {each.conversion_id for each in drafts}, conversions)
    keys = await new_keys(conn, len(drafts))
    reversals = []
    for draft, key in zip(drafts, keys, strict=True):
        amounts = ReversedAmounts(0)
        pending = draft.conversion_id not in conversions
        if not pending:
            amounts = _reversed_amounts(draft, remaining[draft.conversion_id])
            remaining[draft.conversion_id] = remaining_after(remaining[draft.conversion_id], amounts)
        reversals.append(
            Reversal(key, draft.reversal_id, draft.conversion_id, draft.content, draft.body_hash, amounts, pending, now)
        )
    await insert_reversals(conn, program.program_id, reversals)
    await set_reversed(conn, [_with_remaining(conversions[each], amounts) for each, amounts in remaining.items()])
    facts = [events.conversion_reversed(program, each, now) for each in reversals if not each.pending]
    await outbox.append(conn, events.messages(keys[0], facts))
    return reversals


def _reversed_amounts(draft: ReversalDraft, remaining: RemainingAmounts) -> ReversedAmounts:
    try:
        return reversed_amounts(remaining, draft.extent)
    except ReversalError as error:
        raise invalid(f"{draft.path}.{error.field_path}", str(error), "NOT_LEFT") from error


async def _load_remaining(
    conn: AsyncConnection, program: Program, conversion_ids: set[str], conversions: Mapping[str, Conversion]
) -> dict[str, RemainingAmounts]:
    """The amounts that remain of each conversion that is there."""
    remaining = {
        each: RemainingAmounts(conversions[each].amount_minor, line_amounts(conversions[each].content))
        for each in sorted(conversion_ids)
        if each in conversions
    }
    for reversal in await load_reversals_of(conn, program.program_id, list(remaining), pending=False):
        remaining[reversal.conversion_id] = remaining_after(remaining[reversal.conversion_id], reversal.amounts)
    return {each: replace(amounts, is_reversed=conversions[each].is_reversed) for each, amounts in remaining.items()}


def _with_remaining(conversion: Conversion, remaining: RemainingAmounts) -> Conversion:
    reversed_minor = conversion.amount_minor - remaining.amount_minor
    return replace(conversion, reversed_minor=reversed_minor, is_reversed=remaining.is_reversed)
