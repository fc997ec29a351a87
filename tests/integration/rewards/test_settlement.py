"""Each fact is paid exactly once, whatever the order and number of deliveries."""

import asyncio
import random
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import plan_pb2, reward_pb2
from upline.type.v1 import asset_pb2

from chassis.clock import ManualClock
from chassis.database import Database
from services.rewards.__main__ import RewardsService
from services.rewards.store import conversions
from services.rewards.store.conversions import StoredConversion
from tests.conftest import Servers
from tests.integration.rewards.conftest import (
    UPLINE,
    Ledger,
    Published,
    arrived,
    message,
    points_rule,
    recorded,
    reversed_,
    settled,
    three_levels,
)
from tests.integration.rewards.waiting import stopped
from tests.running import running


async def test_a_conversion_pays_the_whole_upline(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1177)))
    assert await ledger.available(program, "vera", *UPLINE) == [0, 58, 23, 11]
    assert (await ledger.audit(program)).balanced


async def test_a_batch_of_duplicates_only_changes_nothing(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    payload = message(recorded(program, "c1", 1000), recorded(program, "c2", 500))
    await ledger.settle(payload)
    await ledger.settle(payload)
    assert await ledger.available(program, "maria") == [75]


async def test_a_duplicate_inside_one_batch_is_paid_once(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    event = recorded(program, "c1", 1000)
    await ledger.settle(message(event, event), message(event))
    assert await ledger.available(program, "maria") == [50]
    assert len(await ledger.transfers(program, "maria")) == 1


async def test_a_batch_of_old_and_new_pays_the_new_only(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000)))
    await ledger.settle(message(recorded(program, "c1", 1000), recorded(program, "c2", 2000)))
    assert await ledger.available(program, "maria") == [150]


async def test_partial_refunds_end_at_zero(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1177)))
    await ledger.settle(message(reversed_(program, "c1", "r1", 588)))
    # 589 are left: 5 % is 29.45, 2 % is 11.78, 1 % is 5.89, each rounded down.
    assert await ledger.available(program, *UPLINE) == [29, 11, 5]
    await ledger.settle(message(reversed_(program, "c1", "r2", 589, completes=True, minutes_later=2)))
    assert await ledger.available(program, *UPLINE) == [0, 0, 0]
    assert (await ledger.audit(program)).balanced


async def test_a_repeated_refund_changes_nothing(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    refund = message(reversed_(program, "c1", "r1", 500))
    await ledger.settle(message(recorded(program, "c1", 1000)), refund, refund)
    await ledger.settle(refund)
    assert await ledger.available(program, "maria") == [25]


async def test_a_refund_before_its_order_waits_for_it(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(reversed_(program, "c1", "r1", 300)))
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert await ledger.available(program, *UPLINE) == [35, 14, 7]
    # The statement reads as if the order had come first.
    kinds = [each.kind for each in await ledger.transfers(program, "maria")]
    assert kinds == [3, 1]


@pytest.mark.parametrize("order", permutations(range(3)))
async def test_every_order_of_arrival_ends_the_same(
    ledger: Ledger, published: Published, order: tuple[int, ...]
) -> None:
    program = await published(three_levels())
    events = [
        recorded(program, "c1", 999),
        reversed_(program, "c1", "r1", 333),
        reversed_(program, "c1", "r2", 111, minutes_later=2),
    ]
    for index in order:
        await ledger.settle(message(events[index]))
    assert await ledger.available(program, *UPLINE) == [27, 11, 5]  # of 555
    assert (await ledger.audit(program)).balanced


async def test_a_fixed_bonus_stays_until_nothing_is_left(ledger: Ledger, published: Published) -> None:
    rule = points_rule(amount=plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=500)))
    plan = plan_pb2.Plan(assets=[asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS)], rules=[rule])
    program = await published(plan)
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r1", 999)))
    assert await ledger.available(program, "vera", asset="points") == [500]
    await ledger.settle(message(reversed_(program, "c1", "r2", 1, completes=True, minutes_later=2)))
    assert await ledger.available(program, "vera", asset="points") == [0]


async def test_an_event_without_an_amount_is_taken_back_whole(ledger: Ledger, published: Published) -> None:
    rule = points_rule(on=["sign_up"], amount=plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=100)))
    plan = plan_pb2.Plan(assets=[asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS)], rules=[rule])
    program = await published(plan)
    await ledger.settle(message(recorded(program, "s1", 0, event_type="sign_up")))
    assert await ledger.available(program, "vera", asset="points") == [100]
    await ledger.settle(message(reversed_(program, "s1", "r1", 0, completes=True)))
    assert await ledger.available(program, "vera", asset="points") == [0]


async def test_a_conversion_before_any_plan_pays_nothing_and_says_so(ledger: Ledger, new_program_id: object) -> None:
    program = new_program_id("unplanned")  # type: ignore[operator]
    await ledger.settle(message(recorded(program, "c1", 1000)))
    answer = await ledger.explain(program, "c1")
    assert answer.plan_version == 0
    assert "no version of the plan was in force" in answer.sentence
    # A plan published afterwards does not reach back to what is settled.
    await ledger.publish(program, three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert await ledger.available(program, "maria") == [0]


async def test_two_services_racing_for_the_same_events_pay_once(
    ledger: Ledger, published: Published, servers: Servers, clock: ManualClock
) -> None:
    program = await published(three_levels())
    events = [recorded(program, f"c{number}", 1000) for number in range(40)]
    for name, amount_minor in [("a", 300), ("b", 77), ("c", 23)]:
        events += [reversed_(program, f"c{number}", f"r{number}{name}", amount_minor) for number in range(40)]
    deliveries = [event for event in events for _ in range(3)]
    random.Random(7).shuffle(deliveries)
    async with running(RewardsService(servers.settings("rewards"), clock)) as other:
        both = [ledger.rewards.service.deps, other.service.deps]
        await asyncio.gather(
            *(
                settled(both[index % 2], [message(*deliveries[index : index + 5])])
                for index in range(0, len(deliveries), 5)
            )
        )
    assert await ledger.available(program, *UPLINE) == [40 * 30, 40 * 12, 40 * 6]
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings
    assert audit.reward_count == 120


async def test_reversals_lock_new_and_old_conversions_in_the_order_in_which_conversions_arrive(
    ledger: Ledger, published: Published
) -> None:
    program = await published(three_levels())
    events = [recorded(program, name, 1000) for name in ("c1", "c2")]
    first, second = arrived(message(*events))
    await ledger.settle(message(events[0]))
    database: Database = ledger.rewards.service.deps.database
    async with database.transaction() as arriving:
        await conversions.merge_new(arriving, [(first, 1)])  # delivered again
        refunds = message(reversed_(program, "c1", "r1", 100), reversed_(program, "c2", "r2", 100))
        taking_back = await stopped(database, ledger.settle(refunds))
        await conversions.merge_new(arriving, [(second, 1)])  # a deadlock, if c2 were locked before c1
    await taking_back
    assert [(await ledger.explain(program, each)).remaining_minor for each in ("c1", "c2")] == [900, 900]


async def test_explanations_are_exact(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1177, upline=("maria",))))
    answer = await ledger.explain(program, "c1")
    assert answer.sentence == "Version 1 of the plan pays 0.58 USD for c1."
    assert [each.sentence for each in answer.derivations] == [
        "Rule upline pays 0.58 USD to maria at level 1: 5 % of 11.77 USD left of the order, exactly 0.5885 USD, "
        "rounded down.",
        "Rule upline pays level 2, but the buyer's upline has 1.",
        "Rule upline pays level 3, but the buyer's upline has 1.",
    ]
    assert "уровне 1" in (await ledger.explain(program, "c1", "ru-RU")).derivations[0].sentence
    rewards = await ledger.reader.ListRewards(
        reward_pb2.ListRewardsRequest(program_id=program, conversion_id="c1"), timeout=10
    )
    assert [(each.beneficiary_id, each.level, each.net_minor) for each in rewards.rewards] == [("maria", 1, 58)]
    await ledger.settle(message(reversed_(program, "c1", "r1", 1000)))
    reward = await ledger.reader.ExplainReward(
        reward_pb2.ExplainRewardRequest(program_id=program, reward_id=rewards.rewards[0].reward_id), timeout=10
    )
    assert (reward.derivation.amount_minor, reward.derivation.exact_minor) == (58, "58.85")
    assert (reward.current.amount_minor, reward.current.exact_minor) == (8, "8.85")
    assert [(each.reversal_id, each.delta_minor) for each in reward.revisions] == [("r1", -50)]
    assert reward.reward.net_minor == 8


async def test_an_explanation_is_whole_also_while_a_refund_is_settled(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000, upline=("maria",))))
    rewards = await ledger.reader.ListRewards(
        reward_pb2.ListRewardsRequest(program_id=program, conversion_id="c1"), timeout=10
    )
    load = conversions.load

    async def load_and_be_overtaken(
        conn: AsyncConnection, program_id: str, conversion_id: str
    ) -> StoredConversion | None:
        kept = await load(conn, program_id, conversion_id)
        await ledger.settle(message(reversed_(program, "c1", "r1", 400)))
        return kept

    monkeypatch.setattr(conversions, "load", load_and_be_overtaken)
    told = await ledger.reader.ExplainReward(
        reward_pb2.ExplainRewardRequest(program_id=program, reward_id=rewards.rewards[0].reward_id), timeout=10
    )
    assert told.reward.net_minor == told.current.amount_minor == 50
    assert not told.revisions


async def test_names_with_strange_characters_survive(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    odd = 'o\'neil \\ "x"; ☂ \\N'
    await ledger.settle(message(recorded(program, "c\\t1 ☂", 1000, upline=(odd,))))
    assert await ledger.available(program, odd) == [50]
    assert (await ledger.transfers(program, odd))[0].cause_id == f"conversion:{program}/c\\t1 ☂"
