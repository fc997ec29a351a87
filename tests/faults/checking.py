"""Whether what the services hold is what was acknowledged, computed with plain integers and nothing of the services."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from tests.e2e.world import World
from tests.faults.load import Facts, Order

UPLINE_PERCENTS = (5, 2, 1)
CASHBACK_PERCENT = 3
SPONSOR_PERCENT = 2
AT_ONCE = 8
SHOWN = 5

Value = TypeVar("Value")
Sums = Counter[tuple[str, str]]
"""Amount by (participant, asset)."""


@dataclass
class Verdict:
    """The result of the checks."""

    figures: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, wanted: Set[tuple[str, ...]], found: Set[tuple[str, ...]]) -> None:
        """Notes what is missing and what is too much."""
        for how, those in (("missing", wanted - found), ("too many", found - wanted)):
            if those:
                self.wrong.append(f"{what}: {len(those)} {how}, such as {sorted(those)[:SHOWN]}")

    def equal(self, what: str, wanted: object, found: object) -> None:
        """Notes a difference."""
        if wanted != found:
            self.wrong.append(f"{what}: expected {wanted}, found {found}")


def owed(order: Order, base_minor: int) -> Sums:
    """The debt of the program for `base_minor` of an order; whole minor units, rounded down. A point is worth a
    dollar."""
    sums: Sums = Counter()
    sums[order.buyer, "points"] += base_minor * CASHBACK_PERCENT // 100
    for person, percent in zip(order.upline, UPLINE_PERCENTS, strict=False):
        sums[person, "USD"] += base_minor * percent // 100
    for person in order.upline[:1]:
        sums[person, "points"] += base_minor * SPONSOR_PERCENT // 100
    return +sums


async def check(world: World, facts: Facts) -> Verdict:
    """Compares clicks, conversions, wallets, ledger and inboxes; the stack is drained and every hold has ended."""
    verdict = Verdict()
    await _check_clicks(world, facts, verdict)
    await _check_counts(world, facts, verdict)
    await _check_wallets(world, facts, verdict)
    await _check_told(world, facts, verdict)
    for finding in await world.audit():
        verdict.wrong.append(f"audit: {finding}")
    return verdict


async def _check_clicks(world: World, facts: Facts, verdict: Verdict) -> None:
    rows = await _rows(world, "SELECT click_id FROM attribution.click WHERE program_id = %s")
    stored = [row[0].bytes for row in rows]
    verdict.figures |= {"clicks_acknowledged": len(facts.clicks), "clicks_stored": len(stored)}
    verdict.equal("clicks stored twice", 0, len(stored) - len(set(stored)))
    verdict.equal("acknowledged clicks lost", 0, len(facts.clicks - set(stored)))
    of_visits = len(set(stored) - facts.clicks_tried)
    verdict.equal("clicks stored that nobody made", 0, max(0, of_visits - facts.visits))


async def _check_counts(world: World, facts: Facts, verdict: Verdict) -> None:
    totals = await world.totals()
    verdict.figures |= {
        "conversions_acknowledged": len(facts.orders), "conversions_settled": totals.conversion_count,
        "reversals_acknowledged": len(facts.reversals), "reversals_settled": totals.reversal_count,
    }  # fmt: skip
    verdict.equal("conversions settled", len(facts.orders), totals.conversion_count)
    verdict.equal("gross", sum(each.amount_minor for each in facts.orders.values()), totals.gross_minor)
    verdict.equal("reversals settled", len(facts.reversals), totals.reversal_count)
    recorded = await _rows(world, "SELECT conversion_id FROM attribution.conversion WHERE program_id = %s")
    verdict.same("conversions recorded", {(each,) for each in facts.orders}, {(str(row[0]),) for row in recorded})


async def _check_wallets(world: World, facts: Facts, verdict: Verdict) -> None:
    wanted: Sums = Counter()
    for order in facts.orders.values():
        wanted.update(owed(order, order.left_minor))
    found: Sums = Counter()
    for person, wallet in (await _of_everybody(world.wallet, facts)).items():
        for asset, (held_minor, available_minor) in wallet.items():
            verdict.equal(f"held of {person}", 0, held_minor)
            found[person, asset] += available_minor
    different = {key for key in wanted | found if wanted[key] != found[key]}
    verdict.figures |= {"wallets_checked": len(facts.sponsors), "wallet_sum_minor": found.total()}
    verdict.same(
        "wallets", {(*key, str(wanted[key])) for key in different}, {(*key, str(found[key])) for key in different}
    )


async def _check_told(world: World, facts: Facts, verdict: Verdict) -> None:
    """Everybody who earned is told of the order; and whatever else moved, everybody it moved for is told of once."""
    accrued = {
        (f"conversion:{world.program_id}/{order.conversion_id}", person)
        for order in facts.orders.values()
        for person, _ in owed(order, order.amount_minor)
    }
    moved = await _rows(world, "SELECT DISTINCT cause_id, participant_id FROM rewards.movement WHERE program_id = %s")
    causes = {(str(row[0]), str(row[1])) for row in moved}
    verdict.same("causes of accruals", accrued, {each for each in causes if each[0].startswith("conversion:")})
    told = Counter(
        (entry.cause_id, person)
        for person, entries in (await _of_everybody(world.inbox, facts)).items()
        for entry in entries
    )
    verdict.figures |= {"causes_times_people": len(causes), "inbox_entries": told.total()}
    verdict.same("inbox entries", causes, told.keys())
    verdict.equal("inbox entries told twice", 0, told.total() - len(told))


async def _of_everybody(read: Callable[[str], Awaitable[Value]], facts: Facts) -> dict[str, Value]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(person: str) -> Value:
        async with gate:
            return await read(person)

    people = list(facts.sponsors)
    return dict(zip(people, await asyncio.gather(*map(one, people)), strict=True))


async def _rows(world: World, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(world.flow.postgres_url, autocommit=True) as conn:
        return await (await conn.execute(statement.encode(), [world.program_id])).fetchall()
