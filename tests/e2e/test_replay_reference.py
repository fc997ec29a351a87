"""The reference job on made-up purchases: three levels, rounded down, against a computation of the test's own."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from upline.attribution.v1 import participant_pb2
from upline.rewards.v1 import reward_pb2

from chassis.times import to_timestamp
from tests.e2e.conftest import OpenProgram
from tests.e2e.world import World

PEOPLE = 400
ORDERS = 3_000
RATES = (5, 2, 1)
BATCH = 500
START = datetime(2026, 1, 1, tzinfo=UTC)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """One purchase."""

    number: int
    buyer: str
    amount_minor: int


@dataclass(frozen=True)
class Shop:
    """Who invited whom, and who bought what."""

    sponsors: dict[str, str]
    """Sponsors before those they invited; empty for roots."""
    orders: list[Order]


@dataclass(frozen=True)
class Expected:
    """The figures that must come of it."""

    reward_count: int
    accrued_minor: int
    earned: Counter[str]


def made_up_shop(seed: int) -> Shop:
    """Makes the same shop for the same seed. Some orders are free, many are alike, some cost a cent."""
    rng = random.Random(seed)
    sponsors: dict[str, str] = {}
    for number in range(PEOPLE):
        alone = number == 0 or rng.random() < 0.1
        sponsors[f"u{number}"] = "" if alone else f"u{rng.randrange(max(0, number - 40), number)}"
    amounts = [0, 1, 19, 99, 100, 999, *(rng.randrange(1, 50_000) for _ in range(300))]
    return Shop(sponsors, [Order(n, f"u{rng.randrange(PEOPLE)}", rng.choice(amounts)) for n in range(ORDERS)])


def expected(shop: Shop) -> Expected:
    """Computes the figures with plain integers, knowing nothing of the services."""
    earned: Counter[str] = Counter()
    reward_count = 0
    for order in shop.orders:
        ancestor = shop.sponsors[order.buyer]
        for rate in RATES:
            amount_minor = order.amount_minor * rate // 100
            if not ancestor:
                break
            if amount_minor:
                earned[ancestor] += amount_minor
                reward_count += 1
            ancestor = shop.sponsors[ancestor]
    return Expected(reward_count, earned.total(), earned)


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Slices of BATCH."""
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))


async def play(world: World, shop: Shop) -> int:
    """Enrols everybody and records every order; returns how many orders were new."""
    for people in batches(list(shop.sponsors.items())):
        await world.enrol_all(
            [participant_pb2.ParticipantDraft(participant_id=who, sponsor_id=sponsor) for who, sponsor in people]
        )
    recorded = 0
    for orders in batches(shop.orders):
        drafts = [
            world.order(
                f"o{each.number}", each.buyer, each.amount_minor,
                occurred_at=to_timestamp(START + timedelta(minutes=each.number)),
            )
            for each in orders
        ]  # fmt: skip
        recorded += (await world.record(drafts)).recorded_count
    await world.drained()
    return recorded


async def reverse_halves(world: World, shop: Shop) -> None:
    """Takes half of every order back."""
    for orders in batches([each for each in shop.orders if each.amount_minor > 1]):
        await world.reverse([world.reversal(f"o{o.number}/half", f"o{o.number}", o.amount_minor // 2) for o in orders])


async def reverse_rest(world: World, shop: Shop) -> None:
    """Takes back whatever is left of every order."""
    for orders in batches(shop.orders):
        await world.reverse([world.reversal(f"o{each.number}/rest", f"o{each.number}") for each in orders])


async def balances(world: World, shop: Shop) -> dict[str, int]:
    """The available balances of all participants who have anything; nothing is held."""
    wallets = dict(zip(shop.sponsors, await asyncio.gather(*map(world.wallet, shop.sponsors)), strict=True))
    assert {each["USD"][0] for each in wallets.values()} == {0}
    return {person: wallet["USD"][1] for person, wallet in wallets.items() if wallet["USD"][1]}


def figures(totals: reward_pb2.GetProgramTotalsResponse) -> tuple[int, int, int, int, int]:
    """Conversions, gross, rewards, their sum, earners."""
    (asset,) = totals.assets
    return (
        totals.conversion_count, totals.gross_minor, asset.reward_count, asset.accrued_minor, asset.earner_count,
    )  # fmt: skip


async def test_totals_are_exact_stay_so_when_played_again_and_end_at_zero(opened: OpenProgram) -> None:
    world, shop = await opened("three-levels.yaml"), made_up_shop(seed=1997)
    wanted = expected(shop)
    gross_minor = sum(each.amount_minor for each in shop.orders)
    wanted_figures = (ORDERS, gross_minor, wanted.reward_count, wanted.accrued_minor, len(wanted.earned))

    assert await play(world, shop) == ORDERS
    first = await world.totals()
    assert figures(first) == wanted_figures
    best = sorted(wanted.earned.items(), key=lambda each: (-each[1], each[0]))[:3]
    assert [(each.participant_id, each.amount_minor) for each in first.assets[0].top] == best
    assert await balances(world, shop) == dict(wanted.earned)

    assert await play(world, shop) == 0
    assert await world.totals() == first

    await reverse_halves(world, shop)
    await world.drained()
    assert await world.audit() == []
    await reverse_rest(world, shop)
    await world.drained()
    assert await balances(world, shop) == {}
    last = await world.totals()
    assert figures(last)[2:4] == wanted_figures[2:4]
    assert last.assets[0].reversed_minor == wanted.accrued_minor
    assert await world.audit() == []
    await every_reward_is_explained(world, wanted)


EXPLAINED_AT_ONCE = 50
"""A server takes about a hundred of such calls at once."""


async def every_reward_is_explained(world: World, wanted: Expected) -> None:
    """The explanation, the rewards and the revisions of the three top earners say the same, reward by reward."""
    for person, earned_minor in wanted.earned.most_common(3):
        rewards = await world.rewards_of(person)
        assert sum(each.amount_minor for each in rewards) == earned_minor
        explanations: list[reward_pb2.ExplainRewardResponse] = []
        for first in range(0, len(rewards), EXPLAINED_AT_ONCE):
            some = rewards[first : first + EXPLAINED_AT_ONCE]
            explanations += await asyncio.gather(*(world.explain_reward(each.reward_id) for each in some))
        for reward, told in zip(rewards, explanations, strict=True):
            assert told.derivation.amount_minor == reward.amount_minor
            assert told.derivation.base_minor * RATES[reward.level - 1] // 100 == reward.amount_minor
            assert sum(each.delta_minor for each in told.revisions) == -reward.amount_minor
            assert (told.current.amount_minor, told.current.outcome) == (0, reward_pb2.OUTCOME_REVERSED)
