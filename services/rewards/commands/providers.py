"""Payouts that are sent to the provider, one by one, and again until it answers."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from services.rewards.commands.deps import Deps
from services.rewards.commands.payouts import change, provider_methods, report_payout
from services.rewards.domain.wallet import payout as domain
from services.rewards.domain.wallet.payout import Payout, Provider, ProviderAnswer, ProviderError, ProviderStatus
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import payouts
from services.rewards.store.plans import ProgramPlans

SENDS_A_ROUND = 20
ANSWER_WITHIN = timedelta(minutes=2)
"""The lease of a process that sends: after it another sends again, since one that died will not. By then the provider
knows the payout and attempt, or does not."""

log = structlog.get_logger(__name__)


async def send_payouts(deps: Deps) -> int:
    """Sends payouts that wait for the provider, and those it has not answered; returns how many were sent.

    That a payout is being sent is committed before it is: a process that dies meanwhile leaves one that is sent again
    under the same name. One that cannot be sent keeps no other from it; its error is raised after that.
    """
    if deps.provider is None:
        return 0
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        methods = provider_methods(deps, await payouts.waiting_methods(conn))
        new = [domain.sent(each, now) for each in await payouts.claim_new(conn, methods, SENDS_A_ROUND)]
        again = [
            replace(each, sends=each.sends + 1) for each in await payouts.claim_unanswered(conn, now, SENDS_A_ROUND)
        ]
        leased = [replace(each, send_time=now + ANSWER_WITHIN) for each in (*new, *again)]
        await payouts.update(conn, leased)
        await payouts.insert_attempts(conn, new)
        plans = await deps.plans.load(conn, {each.program_id for each in leased})
    # Together: one after the other, the last of many slow answers would come after its lease.
    sendings = (_send(deps, deps.provider, each, plans) for each in leased)
    for result in await asyncio.gather(*sendings, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
    return len(leased)


async def _send(deps: Deps, provider: Provider, sent: Payout, plans: ProgramPlans) -> None:
    digits = plans[sent.program_id].asset_digits
    try:
        answer = await provider.send(sent, digits.get(sent.asset, 0))
    except ProviderError as error:
        log.warning("payout not answered", program=sent.program_id, payout=sent.payout_id, error=error)
        await _ask_again(deps, sent)
        return
    await report_payout(deps, sent.program_id, sent.payout_id, sent.attempts, *_parts(answer))


def _parts(answer: ProviderAnswer) -> list[ProviderAnswer]:
    """The single answers that a provider gives in one: a provider that is asked again, because its first answer was
    lost, may have paid and got it back since."""
    return (
        [answer._replace(outcome=ProviderStatus.PAID), answer] if answer.outcome is ProviderStatus.BOUNCED else [answer]
    )


async def _ask_again(deps: Deps, sent: Payout) -> None:
    """Plans the next sending, unless the answer came another way meanwhile."""

    def postpone(payout: Payout) -> tuple[Payout, list[WalletTransfer]]:
        if (payout.state, payout.attempts, payout.send_time) != (sent.state, sent.attempts, sent.send_time):
            return payout, []
        return replace(payout, send_time=deps.clock.now() + domain.pause(payout.sends)), []

    await change(deps, sent.program_id, sent.payout_id, postpone)
