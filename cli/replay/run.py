"""Enrols people and records purchases, waits until all is paid, and can take it all back again."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from upline.attribution.v1 import conversion_pb2, participant_pb2, program_pb2
from upline.rewards.v1 import reward_pb2, wallet_pb2
from upline.type.v1.money_pb2 import Money

from chassis.times import to_timestamp
from cli.bundle.program import Bundle
from cli.client import CALL_SECONDS, Client
from cli.errors import CommandFailed
from cli.output import begin_bar, err, make_progress
from cli.programs import apply_bundle, result_lines
from cli.replay.data import EnrolmentRow, PurchaseRow, bind_by_first_purchase
from cli.replay.result import TOP, earnings
from cli.replay.rows import enrolment_draft, purchase_draft
from cli.replay.sending import BatchSender, tell_by_line
from cli.views.audit import ledger_balances, read_audit

ENROL_BATCH = 1_000
MAX_BATCH = 1_000
"""The most rows that the contract allows in one request."""
WALLETS_IN_FLIGHT = 64
BATCH_SECONDS = 120.0
POLL_SECONDS = 0.25
STUCK_SECONDS = 120.0
"""A replay in which nothing was settled for so long is stuck."""


async def replay_purchases(
    client: Client, bundle: Bundle, enrolments: list[EnrolmentRow], purchases: list[PurchaseRow], parts: int = 0
) -> dict[str, Any]:
    """Applies the program and replays the purchases, and takes them back if `parts` says so."""
    policy = bundle.program.policy
    if policy.credit_before_binding == program_pb2.CREDIT_BEFORE_BINDING_NOT_CREDITED:
        # Times of binding matter only then; others are enrolled as ever, so that a replay which an earlier version
        # began can be given again.
        enrolments = bind_by_first_purchase(enrolments, purchases)
    applied = await apply_bundle(client, bundle)
    for line in result_lines(applied):
        err.print(line, style="dim", markup=False)
    with make_progress() as bars:
        run = PurchaseReplay(client, bundle.program.program_id, BatchSender(bars))
        result = await run.play(enrolments, purchases)
        if parts:
            reversal = await run.reverse(enrolments, purchases, parts)
            result |= {
                "reversal": reversal,
                "ledger_balanced": result["ledger_balanced"] and reversal["ledger_balanced"],
            }
    sys.stderr.flush()
    return result | {"program": bundle.program.program_id, "currency": bundle.program.currency_code}


@dataclass(frozen=True, slots=True)
class PurchaseReplay:
    """One replay of purchases through a program."""

    client: Client
    program_id: str
    sender: BatchSender

    async def play(self, enrolments: list[EnrolmentRow], purchases: list[PurchaseRow]) -> dict[str, Any]:
        """Records everything that is not recorded yet, and returns the totals once all of it is paid."""
        began = time.monotonic()
        before = (await self.totals()).conversion_count
        enrolled = await self._enrol(enrolments)
        recorded = await self._record(purchases)
        await self._until_settled("paying the uplines", max(len(purchases), before + recorded), "conversion_count")
        totals, verdict = await self.totals(), await read_audit(self.client, self.program_id, full=True)
        return {
            "orders": totals.conversion_count,
            "gross_minor": totals.gross_minor,
            **earnings(totals),
            "ledger_balanced": ledger_balances(verdict),
            "seconds": round(time.monotonic() - began, 3),
            "enrolled_now": enrolled,
            "recorded_now": recorded,
        }

    async def reverse(self, enrolments: list[EnrolmentRow], purchases: list[PurchaseRow], parts: int) -> dict[str, Any]:
        """Takes every purchase back in `parts` parts and returns what the wallets hold then."""
        began = time.monotonic()
        before = (await self.totals()).reversal_count

        async def send(some: Sequence[PurchaseRow]) -> int:
            return await self._reverse_batch([draft for each in some for draft in reversal_drafts(each, parts)])

        # All parts of an order go in one batch: they apply in their order, and what is in flight at once never meets.
        recorded = await self.sender.send("taking orders back", purchases, send, batch=max(1, MAX_BATCH // parts))
        wanted = sum(len(reversal_drafts(each, parts)) for each in purchases)
        await self._until_settled("reversing rewards", max(wanted, before + recorded), "reversal_count")
        people = sorted({each.participant for each in enrolments} | {each.buyer for each in purchases})
        left = await self._wallets_with_value(people)
        totals, verdict = await self.totals(), await read_audit(self.client, self.program_id, full=True)
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
        """The totals of the program so far."""
        answer: reward_pb2.GetProgramTotalsResponse = await self.client.rewards.GetProgramTotals(
            reward_pb2.GetProgramTotalsRequest(program_id=self.program_id, top_count=TOP), timeout=BATCH_SECONDS
        )
        return answer

    async def _enrol(self, enrolments: list[EnrolmentRow]) -> int:
        # One batch after the other: a sponsor must be there before those whom they invited.
        return await self.sender.send(
            "enrolling", enrolments, tell_by_line(self._enrol_batch), batch=ENROL_BATCH, in_flight=1
        )

    async def _enrol_batch(self, enrolments: Sequence[EnrolmentRow]) -> int:
        answer = await self.client.participants.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=str(uuid4()),
                program_id=self.program_id,
                participants=[enrolment_draft(each) for each in enrolments],
            ),
            timeout=BATCH_SECONDS,
        )
        return int(answer.enrolled_count)

    async def _record(self, purchases: list[PurchaseRow]) -> int:
        # One batch after the other, so that every run records them in the order of the file: what is counted depends
        # on it.
        return await self.sender.send("recording purchases", purchases, tell_by_line(self._record_batch), in_flight=1)

    async def _record_batch(self, purchases: Sequence[PurchaseRow]) -> int:
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

    async def _until_settled(self, title: str, wanted: int, figure: str) -> None:
        """Returns when the figure has reached `wanted`. Raises CommandFailed when it has long stopped moving."""
        bar = begin_bar(self.sender.bars, title, wanted)
        last, moved = -1, time.monotonic()
        async for totals in self._poll_totals():
            count = getattr(totals, figure)
            self.sender.bars.update(bar, completed=min(count, wanted))
            if count >= wanted:
                return
            if count != last:
                last, moved = count, time.monotonic()
            elif time.monotonic() - moved > STUCK_SECONDS:
                raise CommandFailed(
                    f"{title}: stands at {count} of {wanted} for {STUCK_SECONDS:.0f} seconds; `upline audit` and"
                    " the log of rewards say more"
                )

    async def _poll_totals(self) -> AsyncIterator[reward_pb2.GetProgramTotalsResponse]:
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

        await self.sender.send("checking wallets", people, one, batch=1, in_flight=WALLETS_IN_FLIGHT)
        return sorted(left, key=lambda each: str(each["participant"]))


def reversal_drafts(purchase: PurchaseRow, parts: int) -> list[conversion_pb2.ReversalDraft]:
    """Reversals of an equal amount, the last of all that is left; only that one where the parts would be nothing."""
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
