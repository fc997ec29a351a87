"""Reversals become clawbacks: what one takes back of the rewards of its conversion, at every level."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from services.rewards import events
from services.rewards.commands import effects
from services.rewards.commands.ahead import asked_ahead, with_verdicts
from services.rewards.commands.deps import Deps
from services.rewards.commands.expiry import load_expired
from services.rewards.commands.pacing import Pacing
from services.rewards.domain.conversion import ConversionKey, Reversal
from services.rewards.domain.settle.clawback import Clawback, claw_back, revised
from services.rewards.domain.settle.debts import debited_wallets, with_debts
from services.rewards.store import conversions, ledger, plans, tallies, wallets
from services.rewards.store.conversions import StoredConversion
from services.rewards.store.plans import ProgramPlans


async def settle_reversals(
    deps: Deps, pacing: Pacing[Reversal], locked: asyncio.Event, reversals: Sequence[Reversal]
) -> None:
    """Settles reversals in one transaction. `locked` is set once it has the locks that give them their place among all
    facts of their programs."""
    keys = [(each.program_id, each.conversion_id) for each in reversals]
    asked = await asked_ahead(deps, keys) if pacing.apart else {}
    async with deps.program_turns.begin() as turn, deps.database.transaction() as conn:
        program_ids = {each.program_id for each in reversals}
        # No version may come in between: neither one that begins to count, whose conversions' effects are reversed
        # behind the lock, nor one that pays what another worker settles meanwhile.
        await plans.pin_versions(conn, program_ids)
        await pacing.find_slow(conn, program_ids)
        versions = await deps.plans.load(conn, program_ids)
        if ordered := versions.with_order:
            await turn.wait_for(ordered)
            await tallies.lock(conn, ordered)
        # The conversion's row is locked before its reversals are written, so two workers never take back the same part.
        stored = with_verdicts(await conversions.lock_expected(conn, keys), asked)
        locked.set()
        reversals = await _without_slow(conn, pacing, versions, stored, reversals)
        if not reversals:
            return
        positions = await tallies.draw_positions(conn, len(reversals))
        by_key = {each.key: position for each, position in zip(reversals, positions, strict=True)}
        added = await conversions.insert_reversals(conn, reversals, by_key)
        if added:
            fresh = [each for each in reversals if each.key in added]
            known = await conversions.load_reversals(conn, [(each.program_id, each.conversion_id) for each in fresh])
            arrived = [found for key in known if (found := stored[key]) is not None]
            new = {key: by_key[key] for key in added}
            await effects.reverse_stored_effects(conn, pacing, versions, arrived, known, new)
            await post_clawbacks(conn, pacing, versions, stored, known, fresh)


async def _without_slow(
    conn: AsyncConnection,
    pacing: Pacing[Any],
    versions: ProgramPlans,
    stored: Mapping[ConversionKey, StoredConversion | None],
    reversals: Sequence[Reversal],
) -> Sequence[Reversal]:
    """The reversals but for those of programs of which one takes long to decide."""
    paid = [each for each in stored.values() if each is not None and each.plan_version]
    await versions.compile(conn, {(each.conversion.program_id, each.plan_version) for each in paid})
    slow = pacing.slow | {
        each.conversion.program_id
        for each in paid
        if pacing.takes_long(versions.plan(each.conversion.program_id, each.plan_version), each.conversion)
    }
    return pacing.leave_out(reversals, slow) if slow else reversals


async def post_clawbacks(
    conn: AsyncConnection,
    pacing: Pacing[Any],
    versions: ProgramPlans,
    stored: Mapping[ConversionKey, StoredConversion | None],
    known: Mapping[ConversionKey, Sequence[Reversal]],
    new: Sequence[Reversal],
) -> None:
    """Posts what `new` reversals take back, one after the other; the other reversals among those `known` of their
    conversions were posted before. The conversions are locked."""
    paid = {key: found for key in known if (found := stored[key]) is not None and found.plan_version}
    if not paid:
        return
    await versions.compile(conn, {(program_id, each.plan_version) for (program_id, _), each in paid.items()})
    arrived = [each.conversion for each in paid.values()]
    held = await ledger.lock_holds(conn, arrived)
    posted = await ledger.load_posted(conn, arrived, held)
    fresh = {each.key for each in new}
    earlier = {key: [each for each in known[key] if each.key not in fresh] for key in paid}

    def each_clawback() -> Iterator[Clawback]:
        for reversal in new:
            key = reversal.program_id, reversal.conversion_id
            if (found := paid.get(key)) is None:
                continue
            plan = versions.plan(reversal.program_id, found.plan_version)
            clawback = claw_back(plan, found.conversion, earlier[key], reversal, posted[key], found.snapshot)
            posted[key] = revised(posted[key], clawback.revisions)
            earlier[key].append(reversal)
            yield clawback

    clawbacks = await pacing.make(each_clawback())
    clawbacks = await _charge_debts(conn, versions, clawbacks)
    await ledger.post(
        conn,
        [],
        [transfer for each in clawbacks for transfer in each.transfers],
        [revision for each in clawbacks for revision in each.revisions],
    )
    await _publish(conn, versions, clawbacks)


async def _charge_debts(conn: AsyncConnection, versions: ProgramPlans, clawbacks: list[Clawback]) -> list[Clawback]:
    """Value that was used already becomes a debt, and value that expired does not. The wallets that something available
    is taken out of stay locked: nobody spends it meanwhile."""
    spent = debited_wallets(clawbacks)
    if not spent:
        return clawbacks
    await wallets.lock(conn, (wallets.wallet_lock(*each) for each in spent))
    available = {}
    for program_id in sorted({program_id for program_id, _ in spent}):
        people = [participant_id for of, participant_id in spent if of == program_id]
        for (participant_id, asset), pocket in (await wallets.pockets(conn, program_id, people)).items():
            available[program_id, participant_id, asset] = pocket.available_minor
    return with_debts(clawbacks, available, await load_expired(conn, versions, clawbacks))


async def _publish(conn: AsyncConnection, versions: ProgramPlans, clawbacks: Sequence[Clawback]) -> None:
    facts = []
    for each in clawbacks:
        if each.transfers:
            version = versions[each.conversion.program_id].version(each.revisions[0].reward.plan_version)
            facts.append(events.taken_back(each, version.assets))
    await outbox.append(conn, events.messages(facts))
