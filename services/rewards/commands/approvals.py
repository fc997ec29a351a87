"""What a person says about rewards that wait for approval."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import approval_pb2

from chassis import outbox
from chassis.errors import failed_precondition, invalid, not_found
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.domain.ledger import Transfer
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.settlement import refuse
from services.rewards.domain.settle.waiting import Ended
from services.rewards.store import conversions, ledger, waiting
from services.rewards.store.conversions import Kept, key_of
from services.rewards.store.waiting import Approval, Decision


async def approve(deps: Deps, request: approval_pb2.ApproveRewardsRequest) -> None:
    """Lets rewards go on. They are released by a job, as soon as nothing else holds them."""
    async with deps.database.transaction() as conn:
        await _require(deps, conn, request.program_id, request.conversion_id)
        asked = await _asked(conn, request.program_id, request.conversion_id)
        if any(each.approval is Approval.REJECTED for each in asked):
            raise failed_precondition("REJECTED", "its rewards were rejected", "conversion_id")
        now = deps.clock.now()
        await waiting.decide(conn, request.program_id, request.conversion_id, Approval.APPROVED, "", now)


async def reject(deps: Deps, request: approval_pb2.RejectRewardsRequest) -> None:
    """Takes rewards that wait for approval away. What waits for something else only stays as it is."""
    if "\x00" in request.reason:
        raise invalid("reason", "must not contain the character U+0000")
    async with deps.database.transaction() as conn:
        plans, kept = await _require(deps, conn, request.program_id, request.conversion_id)
        asked = await _asked(conn, request.program_id, request.conversion_id)
        if any(each.approval is Approval.APPROVED for each in asked):
            raise failed_precondition("APPROVED", "its rewards were approved", "conversion_id")
        pending = [each for each in asked if each.approval is Approval.PENDING]
        if pending:
            now = deps.clock.now()
            await waiting.decide(
                conn, request.program_id, request.conversion_id, Approval.REJECTED, request.reason, now
            )
            await _refuse(conn, plans[kept.plan_version - 1], kept, pending, now)
    deps.relay.wake()


async def _require(
    deps: Deps, conn: AsyncConnection, program_id: str, conversion_id: str
) -> tuple[tuple[Plan, ...], Kept]:
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    if not versions:
        raise not_found("program", program_id)
    kept = await conversions.load(conn, program_id, conversion_id)
    if kept is None:
        raise not_found("conversion", conversion_id)
    return versions, kept


async def _asked(conn: AsyncConnection, program_id: str, conversion_id: str) -> list[Decision]:
    asked = await waiting.lock_for_approval(conn, program_id, conversion_id)
    if not asked:
        raise failed_precondition("NOTHING_WAITS", "none of its rewards waits for approval", "conversion_id")
    return asked


async def _refuse(conn: AsyncConnection, plan: Plan, kept: Kept, pending: Sequence[Decision], now: datetime) -> None:
    """Posts the refusal. The holds' rows are locked after those that say what they wait for, as for a release."""
    conversion = kept.conversion
    held = await ledger.lock_holds(conn, [conversion])
    posted = (await ledger.load_posted(conn, [conversion], held))[key_of(conversion)]
    transfers: list[Transfer] = []
    ended = [Ended(conversion.program_id, conversion.conversion_id, each.mark, each.rule_id, now) for each in pending]
    for each in ended:
        transfers += refuse(each, [one for one in posted if one.reward.hold_until == each.mark])
    if transfers:
        await ledger.post(conn, [], transfers, [])
        await waiting.refuse(conn, [(each.reward_id, each.amount_minor) for each in transfers], now)
        rewards = {each.reward.reward_id: each.reward for each in posted}
        pairs = [(rewards[each.reward_id], each) for each in transfers]
        await outbox.append(conn, events.messages([events.rejected(conversion, now, pairs, plan.assets)]))
    await ledger.end_holds(conn, [(each.program_id, each.conversion_id, each.mark) for each in ended])
    await waiting.end(conn, ended)
