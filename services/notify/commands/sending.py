"""Sending what waits at endpoints: one pool of workers a process, any number of processes."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.tasks import cancel_all
from services.notify.channels.port import Channel
from services.notify.commands.deps import Deps
from services.notify.domain.delivery import (
    SPREAD,
    DeliveryState,
    Outgoing,
    Result,
    Verdict,
    after,
    is_rejected,
    off_reason,
    rest_seconds,
)
from services.notify.store import lanes
from services.notify.store import webhooks as webhook_store

MAX_SENDS = 100
"""The most deliveries of a process that are on their way at once."""
ENDPOINT_SENDS = 10
"""The most of these to one endpoint: one that is slow leaves the room of nine others, and one that fails has one."""
POLL_SECONDS = 1.0
"""The time between two looks at what came, or is due again, while nothing else happens."""
GATHER_SECONDS = 0.01
"""The time in which more of what was sent ends, before it is looked for what takes its place: one look for several."""
LEASE = timedelta(seconds=60)
"""The time for which nobody else sends what a process has taken: four times what a call takes at most. Where the
process dies, it is sent again after that, under the same `webhook-id`."""
NOTE_TRIES = 20
"""How often it is tried to note what became of a delivery while the database is away, once a second. After that it is
sent again when the lease ends."""
STOP_SECONDS = 1.5
"""How long a process that stops waits for what is on its way."""

log = structlog.get_logger(__name__)


class TriedDelivery(NamedTuple):
    """A delivery that was tried, and the consequence."""

    outgoing: Outgoing
    result: Result
    verdict: Verdict
    duration_ms: int


@dataclass(slots=True)
class Sending:
    """Sends deliveries: those of one participant to one endpoint in their order, all others beside one another."""

    deps: Deps
    channel: Channel
    lease: timedelta = LEASE
    pause_ratio: float = 1.0
    """The pauses between attempts, as a part of what the schedule says."""
    poll_seconds: float = POLL_SECONDS
    _sends: "dict[asyncio.Task[None], UUID]" = field(default_factory=dict, init=False)
    """The deliveries that are on their way, each with its endpoint."""
    _last: UUID = field(default=UUID(int=0), init=False)
    """The endpoint that had the last turn."""

    async def run(self) -> None:
        """Sends until cancelled. What is on its way then has a moment to end; what does not is sent again after its
        lease."""
        try:
            while True:
                try:
                    found = await self._begin()
                except Exception as error:
                    log.warning("cannot look for deliveries, will retry", error=error)
                    found = 0
                if found:
                    await asyncio.sleep(GATHER_SECONDS)
                elif len(self._sends) >= MAX_SENDS:
                    await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._rest()
        finally:
            try:
                if self._sends:
                    await asyncio.wait(self._sends, timeout=STOP_SECONDS)
            finally:
                await cancel_all(list(self._sends))

    async def _rest(self) -> None:
        """Waits until something that was sent has ended, whose lane may have more, or it is time to look again."""
        if self._sends:
            await asyncio.wait(self._sends, timeout=self.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(GATHER_SECONDS)
        else:
            await asyncio.sleep(self.poll_seconds)

    async def _begin(self) -> int:
        """Begins to send what is due, as far as there is room; returns how much."""
        free_sends = MAX_SENDS - len(self._sends)
        if not free_sends:
            return 0
        async with self.deps.database.transaction() as conn:
            taken = await lanes.claim(
                conn, Counter(self._sends.values()), ENDPOINT_SENDS, free_sends, self._last, self.lease
            )
        for each in taken:
            task = asyncio.create_task(self._send(each))
            self._sends[task] = each.endpoint_id
            task.add_done_callback(self._sends.pop)
        if taken:
            self._last = max((each.endpoint_id for each in taken), key=lambda each: (each <= self._last, each))
        return len(taken)

    async def _send(self, outgoing: Outgoing) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            result = await self.channel.send(outgoing)
        except Exception as error:
            log.exception("delivery failed by a defect", delivery=outgoing.message_id)
            result = Result(error=f"a defect of this service ({type(error).__name__})")
        tried = TriedDelivery(outgoing, result, self._verdict(outgoing, result), round((loop.time() - began) * 1000))
        for _ in range(NOTE_TRIES):
            try:
                await self._note(tried)
            except Exception as error:
                log.warning("cannot note what became of a delivery, will retry", error=error)
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    def _verdict(self, outgoing: Outgoing, result: Result) -> Verdict:
        spread = random.uniform(*SPREAD)  # noqa: S311 - spreads retries, guards nothing
        verdict = after(result, outgoing.tries, spread)
        return verdict._replace(pause_seconds=verdict.pause_seconds * self.pause_ratio)

    async def _note(self, tried: TriedDelivery) -> None:
        outgoing = tried.outgoing
        named = {"program": outgoing.program_id, "webhook": str(outgoing.endpoint_id), "delivery": outgoing.message_id}
        async with self.deps.database.transaction() as conn:
            # The webhook before its lane, in the order of whoever removes it.
            reason = await self._note_endpoint(conn, tried)
            is_mine = await lanes.end(conn, outgoing, tried.result, tried.verdict, tried.duration_ms)
        if reason:
            log.warning("webhook switched off", reason=reason, **named)
        if not is_mine:
            log.warning("delivery took longer than its lease, or its webhook was removed", **named)
        elif tried.verdict.state is DeliveryState.PARKED:
            log.warning("delivery parked", error=tried.result.error, attempts=outgoing.attempts, **named)

    async def _note_endpoint(self, conn: AsyncConnection, tried: TriedDelivery) -> str:
        """Notes whether an endpoint answers well; returns why it was switched off, if it was."""
        result, endpoint_id = tried.result, tried.outgoing.endpoint_id
        if not result.error:
            if tried.outgoing.is_failing:
                await webhook_store.recover(conn, endpoint_id)
            return ""
        if is_rejected(result):
            return ""
        failing = await webhook_store.fail(conn, endpoint_id) if tried.outgoing.entry else None
        if failing is None:  # nobody was called, or the webhook was removed
            return ""
        reason = off_reason(result, is_hopeless=failing.is_hopeless)
        if reason and await webhook_store.switch_off(conn, endpoint_id, reason):
            return reason
        await webhook_store.rest(conn, endpoint_id, rest_seconds(result, failing.failures) * self.pause_ratio)
        return ""
