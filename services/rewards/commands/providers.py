"""Payouts that are sent to the provider, one by one, and again until it answers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from chassis.tasks import cancel_all
from services.rewards.commands.deps import Deps
from services.rewards.commands.payouts import change, provider_methods, report_payout
from services.rewards.domain.wallet import payout as domain
from services.rewards.domain.wallet.payout import Payout, Provider, ProviderAnswer, ProviderError, ProviderStatus
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import payouts
from services.rewards.store.plans import ProgramPlans

MAX_SENDS = 100
"""The most payouts of a process that are on their way to the provider at once."""
PROGRAM_SENDS = 20
"""The number of payouts of a program on their way at which no more of it are sent: a provider that lets one program's
payouts wait leaves the room of the others."""
LOOK_SECONDS = 0.1
"""The time after which it is looked for payouts again while others are on their way."""
ANSWER_WITHIN = timedelta(minutes=2)
"""The lease of a process that sends: after it another sends again, since one that died will not. By then the provider
knows the payout and attempt, or does not."""

log = structlog.get_logger(__name__)


async def send_payouts(deps: Deps) -> int:
    """Sends payouts that wait for the provider, and those it has not answered, until none is left and all that were
    sent have ended; returns how many were sent.

    None waits for the answer to another, up to the limits above. One that cannot be sent keeps no other from it: it is
    logged, and sent again.
    """
    if deps.provider is None:
        return 0
    sent_count = 0
    sendings: dict[asyncio.Task[None], str] = {}
    """Those on their way, each with its program."""
    try:
        while True:
            if len(sendings) < MAX_SENDS:
                leased, plans = await _lease(deps, list(sendings.values()))
                for each in leased:
                    task = asyncio.create_task(_send_or_log(deps, deps.provider, each, plans))
                    sendings[task] = each.program_id
                    task.add_done_callback(sendings.pop)
                sent_count += len(leased)
            if not sendings:
                return sent_count
            await asyncio.wait(sendings, timeout=LOOK_SECONDS)
    finally:
        await cancel_all(list(sendings))


async def _lease(deps: Deps, under_way: Sequence[str]) -> tuple[list[Payout], ProgramPlans]:
    """Takes payouts that may be sent now; `under_way` names the program of each that is on its way.

    That a payout is being sent is committed before it is: a process that dies meanwhile leaves one that is sent again
    under the same name.
    """
    busy = [program for program, count in Counter(under_way).items() if count >= PROGRAM_SENDS]
    room = min(MAX_SENDS - len(under_way), PROGRAM_SENDS)
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        methods = provider_methods(deps, await payouts.waiting_methods(conn))
        new = [domain.sent(each, now) for each in await payouts.claim_new(conn, methods, busy, (room + 1) // 2)]
        unanswered = await payouts.claim_unanswered(conn, now, busy, room - len(new))
        again = [replace(each, sends=each.sends + 1) for each in unanswered]
        leased = [replace(each, send_time=now + ANSWER_WITHIN) for each in (*new, *again)]
        await payouts.update(conn, leased)
        await payouts.insert_attempts(conn, new)
        return leased, await deps.plans.load(conn, {each.program_id for each in leased})


async def _send_or_log(deps: Deps, provider: Provider, sent: Payout, plans: ProgramPlans) -> None:
    try:
        await _send(deps, provider, sent, plans)
    except Exception as error:
        log.warning("payout not sent, will retry", program=sent.program_id, payout=sent.payout_id, error=error)


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
