"""Payouts: value leaves the system, each once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import payout_pb2

from chassis import outbox
from chassis.errors import already_exists, invalid, not_found
from chassis.pages import fitting
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import as_preconditions, plan_in_force, withdraw
from services.rewards.domain.plan.periods import period_name
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally import tallies as tallies_domain
from services.rewards.domain.wallet import payout as domain
from services.rewards.domain.wallet.payout import (
    Payout,
    PayoutState,
    Provider,
    ProviderAnswer,
    ProviderError,
    ProviderStatus,
)
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import payouts, tallies, wallets
from services.rewards.store.plans import ProgramPlans
from services.rewards.wire.payouts import payout_message

BATCH_PAYOUTS = 10_000
MAX_BATCH_BYTES = 1024 * 1024
"""The length of a batch's payouts in the answer. The file, which tells them once more, takes at most twice that;
clients read 4 MB by default."""
SENDS_A_ROUND = 20
ANSWER_WITHIN = timedelta(minutes=2)
"""Whoever died while he sent is relieved after that long; the provider knows the payout and attempt by then, or does not."""

_OUTCOMES: Mapping[payout_pb2.PayoutOutcome.ValueType, ProviderStatus] = {
    payout_pb2.PAYOUT_OUTCOME_PAID: ProviderStatus.PAID,
    payout_pb2.PAYOUT_OUTCOME_FAILED: ProviderStatus.FAILED,
    payout_pb2.PAYOUT_OUTCOME_BOUNCED: ProviderStatus.BOUNCED,
}
_OUTCOME_NAMES = [payout_pb2.PayoutOutcome.Name(each) for each in _OUTCOMES]

log = structlog.get_logger(__name__)


async def request_payout(deps: Deps, request: payout_pb2.RequestPayoutRequest) -> Payout:
    """Sets an amount aside to be paid out."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        plan = await plan_in_force(deps, conn, request.program_id, now)
        await wallets.lock(conn, [wallets.wallet_lock(request.program_id, request.participant_id)])
        known = await payouts.load(conn, request.program_id, request.payout_id)
        if known is not None:
            return _the_same(known, request)
        terms = plan.terms.payouts.get(request.asset)
        with as_preconditions():
            fee_minor = domain.fee(terms, request.asset, request.method, request.amount_minor)
        if terms is not None and terms.gate is not None:
            counters = await _counters(conn, plan, request.participant_id, now)
            with as_preconditions():
                domain.pass_gate(terms.gate, counters, request.amount_minor)
        made = Payout(
            request.program_id,
            request.payout_id,
            request.participant_id,
            request.asset,
            request.amount_minor,
            fee_minor,
            request.method,
            request.destination,
            PayoutState.REQUESTED if terms and terms.approval else PayoutState.APPROVED,
            now,
            now,
        )
        if not await payouts.insert(conn, made):
            raise _taken(request.payout_id)
        await withdraw(conn, domain.request(made), now)
    return made


async def _counters(conn: AsyncConnection, plan: Plan, participant_id: str, now: datetime) -> dict[str, int]:
    """What is counted for a participant now, by the names of the plan's counters."""
    keys = {
        name: (tallies_domain.counter(name), participant_id, period_name(counter.period, now, plan.zone))
        for name, counter in plan.counters.items()
    }
    values = await tallies.load(conn, plan.program_id, keys.values())
    return {name: values.get(key, 0) for name, key in keys.items()}


async def approve_payout(deps: Deps, request: payout_pb2.ApprovePayoutRequest) -> Payout:
    """A person lets it go on."""
    return await _change(
        deps, request.program_id, request.payout_id, lambda found: (domain.approve(found, deps.clock.now()), [])
    )


async def reject_payout(deps: Deps, request: payout_pb2.RejectPayoutRequest) -> Payout:
    """A person says no."""
    return await _change(
        deps,
        request.program_id,
        request.payout_id,
        lambda found: domain.reject(found, request.reason, deps.clock.now()),
    )


async def report_payout(deps: Deps, request: payout_pb2.ReportPayoutRequest) -> Payout:
    """A provider's answer, told by the caller."""
    answer = ProviderAnswer(_outcome(request), request.provider_reference, request.reason)
    return await _answered(deps, request.program_id, request.payout_id, request.attempt, answer)


def _outcome(request: payout_pb2.ReportPayoutRequest) -> ProviderStatus:
    """The outcome that a report states. INVALID_ARGUMENT where it states none or contradicts itself: what was left out
    neither pays nor fails."""
    told = _OUTCOMES.get(request.outcome, ProviderStatus.PAID if request.paid else None)
    if told is None:
        raise invalid("outcome", f"say what the provider answered: {', '.join(_OUTCOME_NAMES)}")
    if request.paid and told is not ProviderStatus.PAID:
        name = payout_pb2.PayoutOutcome.Name(request.outcome)
        raise invalid("outcome", f"is {name}, and `paid` is true: leave `paid` out, or say PAYOUT_OUTCOME_PAID")
    return told


async def retry_payout(deps: Deps, request: payout_pb2.RetryPayoutRequest) -> Payout:
    """Lets a failed payout be handed over once more."""
    return await _change(
        deps, request.program_id, request.payout_id, lambda found: (domain.retry(found, deps.clock.now()), [])
    )


async def cancel_payout(deps: Deps, request: payout_pb2.CancelPayoutRequest) -> Payout:
    """Gives a failed payout up."""
    return await _change(
        deps, request.program_id, request.payout_id, lambda found: domain.cancel(found, deps.clock.now())
    )


async def create_batch(
    deps: Deps, request: payout_pb2.CreatePayoutBatchRequest
) -> tuple[list[tuple[Payout, int]], Mapping[str, int]]:
    """Hands approved payouts over in one file: (the batch by payouts and attempts, decimal places by asset)."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        versions = (await deps.plans.load(conn, [request.program_id]))[request.program_id]
        if not versions:
            raise not_found("program", request.program_id)
        if await payouts.begin_batch(conn, request.program_id, request.batch_id, request.method, now):
            elsewhere = _sent_by_itself(deps, await payouts.approved_methods(conn, request.program_id))
            waiting = await payouts.lock_approved(conn, request.program_id, request.method, elsewhere, BATCH_PAYOUTS)
            handed = _fitting([domain.sent(each, now, request.batch_id) for each in waiting])
            await payouts.update(conn, handed)
            await payouts.insert_attempts(conn, handed)
        elif await payouts.batch_method(conn, request.program_id, request.batch_id) != request.method:
            raise already_exists("BATCH_EXISTS", f"batch {request.batch_id!r} is of another method", "batch_id")
        batch = await payouts.of_batch(conn, request.program_id, request.batch_id)
    return batch, {asset.code: asset.digits for plan in versions for asset in plan.assets}


def _fitting(handed: list[Payout]) -> list[Payout]:
    """The first payouts, as many as one answer can tell: those that the caller could not read would be handed over
    unseen."""
    return handed[: len(fitting((payout_message(each) for each in handed), MAX_BATCH_BYTES))]


async def send_payouts(deps: Deps) -> int:
    """Sends what waits for the provider, and what it has not answered; returns how many payouts were sent.

    That a payout is being sent is committed before it is: whoever dies meanwhile leaves one that is sent again under the same name.
    One that cannot be sent keeps no other from it; its error is raised after that.
    """
    if deps.provider is None:
        return 0
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        methods = _sent_by_itself(deps, await payouts.waiting_methods(conn))
        new = [domain.sent(each, now) for each in await payouts.claim_new(conn, methods, SENDS_A_ROUND)]
        again = [
            replace(each, sends=each.sends + 1) for each in await payouts.claim_unanswered(conn, now, SENDS_A_ROUND)
        ]
        leased = [replace(each, send_time=now + ANSWER_WITHIN) for each in (*new, *again)]
        await payouts.update(conn, leased)
        await payouts.insert_attempts(conn, new)
        versions = await deps.plans.load(conn, {each.program_id for each in leased})
    # Together: one after the other, the last of many slow answers would come after its lease.
    sendings = (_send(deps, deps.provider, each, versions) for each in leased)
    for outcome in await asyncio.gather(*sendings, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    return len(leased)


async def _send(deps: Deps, provider: Provider, sent: Payout, versions: ProgramPlans) -> None:
    digits = {asset.code: asset.digits for plan in versions[sent.program_id] for asset in plan.assets}
    try:
        answer = await provider.send(sent, digits.get(sent.asset, 0))
    except ProviderError as error:
        log.warning("payout not answered", program=sent.program_id, payout=sent.payout_id, error=error)
        await _ask_again(deps, sent)
        return
    await _answered(deps, sent.program_id, sent.payout_id, sent.attempts, *_parts(answer))


def _parts(answer: ProviderAnswer) -> list[ProviderAnswer]:
    """The single answers that a provider gives in one: a provider that is asked again, because its first answer was
    lost, may have paid and got it back since."""
    return (
        [answer._replace(outcome=ProviderStatus.PAID), answer] if answer.outcome is ProviderStatus.BOUNCED else [answer]
    )


async def _answered(deps: Deps, program_id: str, payout_id: str, attempt: int, *answers: ProviderAnswer) -> Payout:
    def report(found: Payout) -> tuple[Payout, list[WalletTransfer]]:
        moves: list[WalletTransfer] = []
        for each in answers:
            found, moved = domain.report(found, attempt, each, deps.clock.now())
            moves += moved
        return found, moves

    return await _change(deps, program_id, payout_id, report)


async def _ask_again(deps: Deps, sent: Payout) -> None:
    """Plans the next sending, unless the answer came another way meanwhile."""

    def postpone(found: Payout) -> tuple[Payout, list[WalletTransfer]]:
        if (found.state, found.attempts, found.send_time) != (sent.state, sent.attempts, sent.send_time):
            return found, []
        return replace(found, send_time=deps.clock.now() + domain.pause(found.sends)), []

    await _change(deps, sent.program_id, sent.payout_id, postpone)


async def _change(
    deps: Deps, program_id: str, payout_id: str, change: Callable[[Payout], tuple[Payout, list[WalletTransfer]]]
) -> Payout:
    """Changes one payout behind its row's lock, and posts what moves."""
    async with deps.database.transaction() as conn:
        found = await _locked(conn, program_id, payout_id)
        with as_preconditions():
            changed, moves = change(found)
        if changed != found:
            await payouts.update(conn, [changed])
            await wallets.post(conn, moves, deps.clock.now())
        if changed.state is not found.state:
            await _tell(deps, conn, changed)
    deps.relay.wake()
    return changed


async def _tell(deps: Deps, conn: AsyncConnection, payout: Payout) -> None:
    """Tells the participant what became of his payout."""
    versions = (await deps.plans.load(conn, [payout.program_id]))[payout.program_id]
    asset = next(asset for plan in reversed(versions) for asset in plan.assets if asset.code == payout.asset)
    if (fact := events.payout_answered(payout, asset)) is not None:
        await outbox.append(conn, events.messages([fact]))


async def _locked(conn: AsyncConnection, program_id: str, payout_id: str) -> Payout:
    found = await payouts.load(conn, program_id, payout_id, locked=True)
    if found is None:
        raise not_found("payout", payout_id)
    return found


def _sent_by_itself(deps: Deps, methods: set[str]) -> set[str]:
    """Those of the methods whose payouts go to the provider, one by one."""
    return {each for each in methods if deps.provider is not None and deps.provider.takes(each)}


def _the_same(known: Payout, request: payout_pb2.RequestPayoutRequest) -> Payout:
    """The payout that is there, if it was asked for in the same words."""
    for field in ("participant_id", "asset", "amount_minor", "method", "destination"):
        if getattr(known, field) != getattr(request, field):
            raise _taken(request.payout_id)
    return known


def _taken(payout_id: str) -> Exception:
    return already_exists("PAYOUT_EXISTS", f"payout {payout_id!r} is another one", "payout_id")
