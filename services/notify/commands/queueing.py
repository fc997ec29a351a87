"""Writing deliveries beside the entries that they tell of."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.cause import Notice
from services.notify.domain.webhook import Webhook
from services.notify.store import lanes
from services.notify.store import webhooks as webhook_store
from services.notify.store.lanes import NewDelivery


async def queue(conn: AsyncConnection, claimed: Sequence[tuple[UUID, str, Sequence[Notice]]]) -> None:
    """Writes a delivery for each notice and each enabled webhook of its program that wants its kind.

    `claimed` are entries' ids, programs and notices of causes that this transaction claimed, of programs that have
    webhooks; where there are none, nothing is asked of the database.
    """
    if not claimed:
        return
    by_program: dict[str, list[Webhook]] = defaultdict(list)
    for webhook in await webhook_store.enabled(conn, {program_id for _, program_id, _ in claimed}):
        by_program[webhook.program_id].append(webhook)
    await lanes.add(
        conn,
        [
            NewDelivery(program_id, entry_id, notice.participant_id, notice.kind, webhook.webhook_id)
            for entry_id, program_id, told in claimed
            for notice in told
            for webhook in by_program[program_id]
            if webhook.wants(notice.kind)
        ],
    )
