"""Causes, which are claimed once, and with them the entries of everyone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.comparison import Fact
from services.notify.domain.cause import Cause
from services.notify.domain.webhook import WebhookState

LIFE = "entries"
"""The life of causes and entries in `retention`."""
_REPEAT_MARGIN = "8 days"
"""An event may be of a time up to seven days after its arrival, as one that warns of an expiry; a day is for clocks."""

# Whoever inserts the row owns the cause; another transaction with the same event waits here, then leaves it alone. A
# row says that the event was handled, also where it tells nobody: what has none is asked for, and sent again, for ever.
_CLAIM = text(f"""
    INSERT INTO cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id, occurred_at, assets,
                       contest_id, reason, texts_version, create_time)
    SELECT fresh.entry_id, fresh.program_id, event_id, conversion_id, event_type, buyer_id, occurred_at, assets,
           contest_id, reason, coalesce(program.texts_version, 0), :create_time
    FROM unnest(CAST(:entry_ids AS uuid[]), CAST(:program_ids AS text[]), CAST(:event_ids AS text[]),
                CAST(:conversion_ids AS text[]), CAST(:event_types AS text[]), CAST(:buyer_ids AS text[]),
                CAST(:occurred_ats AS timestamptz[]), CAST(:assets AS jsonb[]),
                CAST(:contest_ids AS text[]), CAST(:reasons AS text[]))
         AS fresh (entry_id, program_id, event_id, conversion_id, event_type, buyer_id, occurred_at, assets,
                   contest_id, reason)
    LEFT JOIN program USING (program_id)
    ORDER BY fresh.program_id, event_id
    ON CONFLICT (program_id, event_id) DO NOTHING
    RETURNING entry_id, occurred_at >= coalesce(
        (SELECT removed_before + interval '{_REPEAT_MARGIN}' FROM retention WHERE life = '{LIFE}'), '-infinity'
    ) AS is_told, EXISTS (
        SELECT FROM webhook WHERE webhook.program_id = cause.program_id AND webhook.state = {WebhookState.ENABLED:d}
    ) AS has_webhooks
""")


_TOLD = text("""
    SELECT program_id, event_id FROM cause
    JOIN unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[])) AS asked (program_id, event_id)
        USING (program_id, event_id)
""")


@dataclass(frozen=True, slots=True)
class NumberedCause:
    """A cause with the id its entries would get."""

    entry_id: UUID
    cause: Cause


async def claim(conn: AsyncConnection, causes: Sequence[NumberedCause], create_time: datetime) -> dict[UUID, bool]:
    """Inserts causes; returns the ids of those that people are to be told of, as nobody wrote them before, and whether
    their programs have webhooks. They are inserted in one order, so that racing consumers cannot deadlock.

    What happened so long ago that its cause may have been removed is inserted and not returned: it may have been told
    already.
    """
    claimed = await conn.execute(
        _CLAIM,
        {
            "entry_ids": [each.entry_id for each in causes],
            "program_ids": [each.cause.program_id for each in causes],
            "event_ids": [each.cause.event_id for each in causes],
            "conversion_ids": [each.cause.conversion_id for each in causes],
            "event_types": [each.cause.event_type for each in causes],
            "buyer_ids": [each.cause.buyer_id for each in causes],
            "occurred_ats": [each.cause.occurred_at for each in causes],
            "assets": [
                json.dumps([[asset.code, asset.is_money, asset.minor_digits] for asset in each.cause.assets])
                for each in causes
            ],
            "contest_ids": [each.cause.contest_id for each in causes],
            "reasons": [each.cause.reason for each in causes],
            "create_time": create_time,
        },
    )
    return {row.entry_id: row.has_webhooks for row in claimed if row.is_told}


async def told(conn: AsyncConnection, facts: Sequence[Fact]) -> set[Fact]:
    """Those among facts that were handled: people were told, or there was nobody to tell any more."""
    asked = {"program_ids": [each.program_id for each in facts], "event_ids": [each.event_id for each in facts]}
    return {Fact(row.program_id, row.event_id) for row in await conn.execute(_TOLD, asked)}
