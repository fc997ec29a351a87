"""Enrols, records, waits for every payout; and takes it all back again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import grpc
from rich.progress import Progress
from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.rewards.v1 import reward_pb2, wallet_pb2
from upline.type.v1.money_pb2 import Money

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS, Client
from cli.commands.audit import ledger_balances
from cli.commands.audit import read as audit
from cli.failures import CommandFailed
from cli.output import begin
from cli.replay.data import Enrolment, Purchase
from cli.replay.rows import Row, enrolment_draft, purchase_draft, refused

ENROL_BATCH = 1_000
MAX_BATCH = 1_000
"""The contract's limit."""
RECORD_BATCH = 500
"""What the payout side takes at once too."""
IN_FLIGHT = 4
WALLETS_IN_FLIGHT = 64
BATCH_SECONDS = 120.0
POLL_SECONDS = 0.25
STUCK_SECONDS = 120.0
"""Nothing settled for so long means that nothing will."""
TOP = 3

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of purchases through a program."""

    client: Client
    program_id: str
    bars: Progress

    async def play(self, enrolments: list[Enrolment], purchases: list[Purchase]) -> dict[str, Any]:
        """Records everything and returns the totals once all of it is paid. What is recorded already is left as it is."""
        began = time.monotonic()
        before = (await self.totals()).conversion_count
        enrolled = await self._enrol(enrolments)
        recorded = await self._record(purchases)
        await self._settled("paying the uplines", max(len(purchases), before + recorded), "conversion_count")
        totals, verdict = await self.totals(), await audit(self.client, self.program_id)
        return {
            "orders": totals.conversion_count,
            "gross_minor": totals.gross_minor,
            **earned(totals),
            "ledger_balanced": ledger_balances(verdict),
            "seconds": round(time.monotonic() - began, 3),
            "enrolled_now": enrolled,
            "recorded_now": recorded,
        }

    async def reverse(self, enrolments: list[Enrolment], purchases: list[Purchase], parts: int) -> dict[str, Any]:
        """Takes every purchase back in `parts` parts and returns what the wallets hold then."""
        began = time.monotonic()
        before = (await self.totals()).reversal_count

        async def send(some: Sequence[Purchase]) -> int:
            return await self._reverse_batch([draft for each in some for draft in reversal_drafts(each, parts)])

        # All parts of an order go in one batch: they apply in their order, and what is in flight at once never meets.
        recorded = await self._send("taking orders back", purchases, send, batch=max(1, MAX_BATCH // parts))
        wanted = sum(len(reversal_drafts(each, parts)) for each in purchases)
        await self._settled("reversing rewards", max(wanted, before + recorded), "reversal_count")
        people = sorted({each.participant for each in enrolments} | {each.buyer for each in purchases})
        left = await self._wallets_with_value(people)
        totals, verdict = await self.totals(), await audit(self.client, self.program_id)
        return {
            "reversals": totals.reversal_count,
            "reversed_minor": sum(each.reversed_minor for each in totals.assets),
            "wallets_checked": len(people),
            "wallets_not_zero": len(left),
            "not_zero": left[:TOP],
            "ledger_balanced": ledger_balances(verdict),
            "seconds": round(time.monotonic() - began, 3),
            "recorded_now": recorded,
        }

    async def totals(self) -> reward_pb2.GetProgramTotalsResponse:
        """What the program has paid so far."""
        answer: reward_pb2.GetProgramTotalsResponse = await self.client.rewards.GetProgramTotals(
            reward_pb2.GetProgramTotalsRequest(program_id=self.program_id, top_count=TOP), timeout=BATCH_SECONDS
        )
        return answer

    async def _enrol(self, enrolments: list[Enrolment]) -> int:
        # One batch after the other: a sponsor must be there before those he invited.
        return await self._send(
            "enrolling", enrolments, told_by_line(self._enrol_batch), batch=ENROL_BATCH, in_flight=1
        )

    async def _enrol_batch(self, enrolments: Sequence[Enrolment]) -> int:
        answer = await self.client.participants.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=str(uuid4()),
                program_id=self.program_id,
                participants=[enrolment_draft(each) for each in enrolments],
            ),
            timeout=BATCH_SECONDS,
        )
        return int(answer.enrolled_count)

    async def _record(self, purchases: list[Purchase]) -> int:
        # One batch after the other, so that every run records them in the order of the file: what is counted depends on it.
        return await self._send("recording purchases", purchases, told_by_line(self._record_batch), in_flight=1)

    async def _record_batch(self, purchases: Sequence[Purchase]) -> int:
        answer = await self.client.conversions.RecordConversions(
            conversion_pb2.RecordConversionsRequest(
                program_id=self.program_id, conversions=[purchase_draft(each) for each in purchases]
            ),
            timeout=BATCH_SECONDS,
        )
        return int(answer.recorded_count)

    async def _reverse_batch(self, drafts: Sequence[conversion_pb2.ReversalDraft]) -> int:
        answer = await self.client.conversions.ReverseConversions(
            conversion_pb2.ReverseConversionsRequest(program_id=self.program_id, reversals=drafts),
            timeout=BATCH_SECONDS,
        )
        return int(answer.recorded_count)

    async def _send(
        self,
        title: str,
        items: Sequence[Item],
        send: Callable[[Sequence[Item]], Awaitable[int]],
        *,
        batch: int = RECORD_BATCH,
        in_flight: int = IN_FLIGHT,
    ) -> int:
        """Sends batches, a few at a time; returns the sum of the answers."""
        bar = begin(self.bars, title, len(items))
        gate = asyncio.Semaphore(in_flight)
        total = 0

        async def one(part: Sequence[Item]) -> None:
            nonlocal total
            try:
                count = await send(part)
            finally:
                gate.release()
            total += count  # not across the await above: several of these run at once
            self.bars.advance(bar, len(part))

        try:
            async with asyncio.TaskGroup() as group:
                for part in batches(items, batch):
                    await gate.acquire()
                    group.create_task(one(part))
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return total

    async def _settled(self, title: str, wanted: int, figure: str) -> None:
        """Returns when the figure has reached `wanted`. Raises CommandFailed when it has long stopped moving."""
        bar = begin(self.bars, title, wanted)
        last, moved = -1, time.monotonic()
        async for totals in self._polled():
            count = getattr(totals, figure)
            self.bars.update(bar, completed=min(count, wanted))
            if count >= wanted:
                return
            if count != last:
                last, moved = count, time.monotonic()
            elif time.monotonic() - moved > STUCK_SECONDS:
                raise CommandFailed(
                    f"{title}: stands at {count} of {wanted} for {STUCK_SECONDS:.0f} seconds; `upline audit` and the log of rewards say more"
                )

    async def _polled(self) -> AsyncIterator[reward_pb2.GetProgramTotalsResponse]:
        while True:
            yield await self.totals()
            await asyncio.sleep(POLL_SECONDS)

    async def _wallets_with_value(self, people: list[str]) -> list[dict[str, Any]]:
        left: list[dict[str, Any]] = []

        async def one(part: Sequence[str]) -> int:
            answer = await self.client.wallets.GetWallet(
                wallet_pb2.GetWalletRequest(program_id=self.program_id, participant_id=part[0]), timeout=CALL_SECONDS
            )
            for each in answer.balances:
                if each.held_minor or each.available_minor:
                    left.append(
                        {
                            "participant": part[0],
                            "asset": each.asset,
                            "held_minor": each.held_minor,
                            "available_minor": each.available_minor,
                        }
                    )
            return 0

        await self._send("checking wallets", people, one, batch=1, in_flight=WALLETS_IN_FLIGHT)
        return sorted(left, key=lambda each: str(each["participant"]))


def told_by_line(send: Callable[[Sequence[Row]], Awaitable[int]]) -> Callable[[Sequence[Row]], Awaitable[int]]:
    """Wraps `send` so that its refusals are told by the lines of the file that the rows came from."""

    async def sent(rows: Sequence[Row]) -> int:
        try:
            return await send(rows)
        except grpc.RpcError as error:
            if (failed := refused(error, rows)) is not None:
                raise failed from error
            raise

    return sent


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Slices of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


def reversal_drafts(purchase: Purchase, parts: int) -> list[conversion_pb2.ReversalDraft]:
    """An equal amount for all parts but the last, which takes whatever is left; one whole reversal where the parts would be nothing."""
    part = purchase.amount_minor // parts
    drafts = []
    for number in range(1, parts) if part else ():
        drafts.append(
            conversion_pb2.ReversalDraft(
                reversal_id=f"{purchase.conversion_id}/{number}",
                conversion_id=purchase.conversion_id,
                amount=Money(currency_code=purchase.currency, amount_minor=part),
                occurred_at=to_timestamp(purchase.occurred_at),
            )
        )
    last = conversion_pb2.ReversalDraft(
        reversal_id=f"{purchase.conversion_id}/whole",
        conversion_id=purchase.conversion_id,
        whole=conversion_pb2.WholeReversal(),
        occurred_at=to_timestamp(purchase.occurred_at),
    )
    return [*drafts, last]


def earned(totals: reward_pb2.GetProgramTotalsResponse) -> dict[str, Any]:
    """The figures of the asset that most rewards were paid in; where the plan has several, all of them in `assets` too."""
    by_count = sorted(totals.assets, key=lambda each: (-each.reward_count, each.asset))
    if not by_count:
        return {"asset": "", "rewards": 0, "rewarded_minor": 0, "earners": 0, "top": []}
    told = [
        {
            "asset": each.asset,
            "rewards": each.reward_count,
            "rewarded_minor": each.accrued_minor,
            "earners": each.earner_count,
            "top": [{"participant": one.participant_id, "amount_minor": one.amount_minor} for one in each.top[:TOP]],
        }
        for each in by_count
    ]
    return told[0] | ({"assets": told} if len(told) > 1 else {})
