"""Rewards that wait for approval: a person approves or rejects them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import failed_precondition, not_found
from services.rewards import events
from services.rewards.commands.ahead import asked, with_verdicts
from services.rewards.commands.deps import Deps
from services.rewards.commands.effects import write_released_headroom
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.versions import PlanVersions
from services.rewards.domain.settle.holds import EndedHold, Rejection, reject_rewards
from services.rewards.store import conversions, holds, ledger, plans, tallies
from services.rewards.store.conversions import StoredConversion
from services.rewards.store.holds import ApprovalRequest, ApprovalState
from services.rewards.store.ledger import DueHold


async def approve(deps: Deps, program_id: str, conversion_id: str) -> None:
    """Lets rewards go on. They are released by a job, as soon as nothing else holds them."""
    async with deps.database.transaction() as conn:
        await _require_versions(deps, conn, program_id)
        if await conversions.load(conn, program_id, conversion_id) is None:
            raise not_found("conversion", conversion_id)
        requests = _require_some(await holds.lock_for_approval(conn, program_id, conversion_id))
        if any(each.approval is ApprovalState.REJECTED for each in requests):
            raise failed_precondition("REJECTED", "its rewards were rejected", "conversion_id")
        await holds.decide(conn, program_id, conversion_id, ApprovalState.APPROVED, deps.clock.now())


async def reject(deps: Deps, program_id: str, conversion_id: str, reason: str) -> None:
    """Takes rewards away that wait for approval. Rewards that wait only for something else stay as they are.

    Where there is nothing to take away, that is found without a lock, and nothing is asked. What takes long is asked
    before. Locks come in the order in which settling takes them: the plan's, the program's, the conversion's, its
    holds'.
    """
    key = program_id, conversion_id
    async with deps.database.transaction() as conn:
        await _require_versions(deps, conn, program_id)
        found = await conversions.load(conn, program_id, conversion_id)
        if found is None:
            raise not_found("conversion", conversion_id)
        if not _pending(await holds.approvals(conn, program_id, conversion_id)):
            return
        plan = await deps.plans.plan(conn, program_id, found.plan_version)
    verdicts = await asked(deps, [(plan, found)] if plan.is_stateful else [])
    async with deps.database.transaction() as conn:
        await plans.pin_versions(conn, [program_id])
        versions = await _require_versions(deps, conn, program_id)
        if versions.has_order:
            await tallies.lock(conn, [program_id])
        stored = with_verdicts(await conversions.lock_expected(conn, [key]), verdicts)[key]
        if stored is None:
            raise not_found("conversion", conversion_id)
        if pending := _pending(await holds.lock_for_approval(conn, program_id, conversion_id)):
            rejection = Rejection(program_id, conversion_id, tuple(each.rule_id for each in pending), deps.clock.now())
            await _post_rejection(deps, conn, plan, stored, rejection, reason)
            await _end_holds(conn, rejection, pending)
    deps.relay.wake()


async def _require_versions(deps: Deps, conn: AsyncConnection, program_id: str) -> PlanVersions:
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    if not versions:
        raise not_found("program", program_id)
    return versions


def _require_some(requests: list[ApprovalRequest]) -> list[ApprovalRequest]:
    if not requests:
        raise failed_precondition("NOTHING_WAITS", "none of its rewards waits for approval", "conversion_id")
    return requests


def _pending(requests: list[ApprovalRequest]) -> list[ApprovalRequest]:
    """The requests that a no decides; none where a person said no before."""
    if any(each.approval is ApprovalState.APPROVED for each in _require_some(requests)):
        raise failed_precondition("APPROVED", "its rewards were approved", "conversion_id")
    return [each for each in requests if each.approval is ApprovalState.PENDING]


async def _post_rejection(
    deps: Deps, conn: AsyncConnection, plan: Plan, stored: StoredConversion, rejection: Rejection, reason: str
) -> None:
    """Posts a rejection. Rows of holds are locked after those that say what they wait for, as for a release."""
    conversion, now = stored.conversion, rejection.time
    key = conversion.key
    earlier = (await conversions.load_reversals(conn, [key]))[key]
    position = await write_released_headroom(conn, deps.deciding, plan, stored, earlier, rejection)
    await holds.decide(conn, *key, ApprovalState.REJECTED, now, reason, position)
    held = await ledger.lock_holds(conn, [conversion])
    posted = (await ledger.load_posted(conn, [conversion], held))[key]
    revisions, transfers = reject_rewards(rejection, posted)
    if transfers:
        await ledger.post(conn, [], transfers, revisions)
        rewards = {each.reward.reward_id: each.reward for each in posted}
        pairs = [(rewards[each.reward_id], each) for each in transfers]
        await outbox.append(conn, events.messages([events.rejected(conversion, now, reason, pairs, plan.assets)]))


async def _end_holds(conn: AsyncConnection, rejection: Rejection, pending: Sequence[ApprovalRequest]) -> None:
    program_id, conversion_id, moment = rejection.program_id, rejection.conversion_id, rejection.time
    await ledger.end_holds(conn, [DueHold(program_id, conversion_id, each.mark) for each in pending])
    await holds.end(conn, [EndedHold(program_id, conversion_id, each.mark, each.rule_id, moment) for each in pending])
