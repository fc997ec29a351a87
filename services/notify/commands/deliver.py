"""Delivering causes: everyone who earned finds an entry in their inbox."""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter

import structlog

from chassis.ids import new_id
from chassis.isolation import isolating
from services.notify.commands.deps import Deps
from services.notify.commands.queueing import queue
from services.notify.domain.cause import Cause, Notice, notices
from services.notify.domain.inbox import Inbox
from services.notify.events import SUBJECT, announcements
from services.notify.store import causes as cause_store
from services.notify.store import entries as entry_store
from services.notify.store.causes import NumberedCause

log = structlog.get_logger(__name__)


async def deliver(deps: Deps, causes: Sequence[Cause]) -> list[tuple[Cause, Exception]]:
    """Writes an entry for every beneficiary of every cause that nobody wrote before.

    Causes may come again, in any order, in several processes at once. One that cannot be delivered, now or ever, keeps
    no other from it: returns these with their errors. Raises only if the database does not answer.
    """
    return await isolating(deps.database, causes, attrgetter("program_id"), partial(_deliver, deps))


async def _deliver(deps: Deps, causes: Sequence[Cause]) -> None:
    by_event = {(each.program_id, each.event_id): (each, notices(each)) for each in causes}
    await _announce(deps, await _write(deps, by_event.values()))


async def _write(deps: Deps, causes: Iterable[tuple[Cause, list[Notice]]]) -> set[Inbox]:
    """Writes all causes and their entries in one transaction; returns the inboxes that got something new."""
    numbered = [(NumberedCause(new_id(), cause), notices) for cause, notices in causes]
    async with deps.database.transaction() as conn:
        fresh = await cause_store.claim(conn, [cause for cause, _ in numbered], deps.clock.now())
        claimed = [
            (each.entry_id, each.cause.program_id, notices) for each, notices in numbered if each.entry_id in fresh
        ]
        await entry_store.write(conn, claimed)
        await queue(conn, [each for each in claimed if fresh[each[0]]])
    for each, told in numbered if log.is_enabled_for(logging.DEBUG) else ():
        if each.entry_id in fresh:
            cause = each.cause
            log.debug(
                "people told",
                program=cause.program_id,
                conversion=cause.conversion_id,
                event_id=cause.event_id,
                people=len(told),
                trace_id=cause.trace_id,
            )
    return {Inbox(program_id, notice.participant_id) for _, program_id, notices in claimed for notice in notices}


async def _announce(deps: Deps, inboxes: set[Inbox]) -> None:
    try:
        for payload in announcements(inboxes):
            await deps.stream.announce(SUBJECT, payload)
    except Exception as error:
        # The entries are committed; watches that are not told search by themselves after some seconds.
        log.warning("cannot announce new entries", error=error)
