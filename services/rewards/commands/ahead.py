"""Conditions on stored conversions, asked before a lock is taken: nobody waits behind it for those that take long."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from services.rewards.commands.deps import Deps
from services.rewards.commands.pacing import takes_long
from services.rewards.domain.conversion import ConversionKey
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.counting import ask_ahead
from services.rewards.store import conversions
from services.rewards.store.conversions import StoredConversion


async def asked_ahead(deps: Deps, keys: Collection[ConversionKey]) -> dict[ConversionKey, StoredConversion]:
    """Those of the conversions that are stored and take long to decide, with the verdicts of their conditions."""
    async with deps.database.transaction() as conn:
        stored = await conversions.load_many(conn, keys)
        versions = await deps.plans.load(conn, {program_id for program_id, _ in stored})
        paid = {key: each for key, each in stored.items() if each.plan_version}
        await versions.compile(conn, {(program_id, each.plan_version) for (program_id, _), each in paid.items()})
    return await asked(deps, ((versions.plan(key[0], each.plan_version), each) for key, each in paid.items()))


async def asked(deps: Deps, paid: Iterable[tuple[Plan, StoredConversion]]) -> dict[ConversionKey, StoredConversion]:
    """Those of the conversions that take long to decide, with the verdicts of their conditions. `paid`: conversions
    with the plans that pay them."""
    found = {}
    for plan, each in paid:
        if takes_long(plan, each.conversion):
            conversion = await deps.deciding.run(ask_ahead, plan, each.conversion, each.snapshot)
            found[conversion.key] = replace(each, conversion=conversion)
    return found


def with_verdicts(
    stored: Mapping[ConversionKey, StoredConversion | None], asked: Mapping[ConversionKey, StoredConversion]
) -> dict[ConversionKey, StoredConversion | None]:
    """Conversions as they are stored behind the lock, with the verdicts of those that are as they were ahead of it."""
    return {**stored, **{key: each for key, each in asked.items() if stored[key] == each}}
