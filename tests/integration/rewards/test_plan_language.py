"""The plan language through the service: what is posted, what a refund by line leaves, and how it is told."""

from collections.abc import Callable
from datetime import datetime, timedelta

from upline.attribution.v1 import conversion_pb2, events_pb2
from upline.rewards.v1 import plan_pb2, reward_pb2

from chassis.times import to_timestamp
from services.rewards.commands.rebuild import rebuild
from services.rewards.store import plans
from services.rewards.store.plans import PlanRow
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.counted import THREE, cap, counter, plan, rule, tier, tiers
from tests.running import DEADLINE_SECONDS

NEXT = plan_pb2.TIER_MODE_NEXT


def with_lines(event: events_pb2.ConversionEvent, **lines: int) -> events_pb2.ConversionEvent:
    """The order with a line for each category."""
    draft = event.recorded.conversion.draft
    for category, minor in lines.items():
        draft.lines.add(line_id=category, category=category, amount_minor=minor)
    return event


def by_line(event: events_pb2.ConversionEvent, **lines: int) -> events_pb2.ConversionEvent:
    """The refund of so much of these lines."""
    taken = [conversion_pb2.LineReversal(line_id=line, amount_minor=minor) for line, minor in lines.items()]
    event.reversed.reversal.lines.extend(taken)
    return event


async def explain_reward(ledger: Ledger, program: str, reward_id: str, locale: str) -> reward_pb2.ExplainRewardResponse:
    request = reward_pb2.ExplainRewardRequest(program_id=program, reward_id=reward_id, locale=locale)
    return await ledger.reader.ExplainReward(request, timeout=DEADLINE_SECONDS)


async def rewards_of(ledger: Ledger, program: str, conversion_id: str) -> list[reward_pb2.Reward]:
    request = reward_pb2.ListRewardsRequest(program_id=program, conversion_id=conversion_id)
    return list((await ledger.reader.ListRewards(request, timeout=DEADLINE_SECONDS)).rewards)


async def test_an_explanation_comes_in_pages(ledger: Ledger, published: Published) -> None:
    program = await published(plan(rule("first", to=THREE), rule("second", to=THREE), rule("third")))
    await ledger.settle(message(recorded(program, "c1", 10_000)))
    whole = await ledger.explain(program, "c1")
    assert len(whole.derivations) == 7
    assert not whole.next_page_token
    told, token = [], ""
    for length in (3, 3, 1):
        request = reward_pb2.ExplainConversionRequest(
            program_id=program, conversion_id="c1", page_size=3, page_token=token
        )
        page = await ledger.reader.ExplainConversion(request, timeout=DEADLINE_SECONDS)
        assert len(page.derivations) == length
        assert page.sentence == whole.sentence
        told += page.derivations
        token = page.next_page_token
    assert told == list(whole.derivations)
    assert not token


async def test_lines_tiers_caps_and_shares_together(ledger: Ledger, published: Published) -> None:
    shoes = rule(
        "shoes",
        percent="",
        to=THREE,
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="10", of=plan_pb2.AMOUNT_BASE_LINES)),
        lines="line.category == 'shoes'",
        tiers=tiers("volume", NEXT, tier(10_000, percent="20")),
        caps=[cap(plan_pb2.CAP_SCOPE_BENEFICIARY, 1_500, plan_pb2.PERIOD_MONTH)],
        share=plan_pb2.Share(percent="25"),
    )
    program = await published(plan(shoes, counters=[counter("volume", plan_pb2.MEASURE_VOLUME)]))
    for number in (1, 2):
        order = recorded(program, f"c{number}", 10_000, upline=("maria", "olga"))
        await ledger.settle(message(with_lines(order, shoes=8_000, books=2_000)))
    # c1: 10 % of 80.00 to each; a quarter to vera. c2: maria's volume stands at 100.00, so 20 %: 16.00, of which 7.00
    # fits under the cap; olga's is not counted: 8.00, of which 7.00 fits.
    assert await ledger.available(program, "maria", "olga", "vera") == [600 + 525, 600 + 525, 2 * 200 + 2 * 175]

    answer = await ledger.explain(program, "c2")
    told = {(each.level, each.share): each for each in answer.derivations}
    assert told[1, False].sentence == (
        "Rule shoes pays 5.25 USD of 16.00 USD to maria at level 1: 20 % of 80.00 USD left of the lines that count,"
        " exactly 16 USD, rounded down."
    )
    assert list(told[1, False].steps) == [
        "volume of maria stood at 100.00 USD: the tier from 100.00 USD holds.",
        "Cap on what a beneficiary gets by the rule, at most 15.00 USD a month: 7.00 USD of 16.00 USD fits.",
        "25 % of 7.00 USD goes to the buyer vera, the rest stays with maria.",
    ]
    assert told[1, True].beneficiary_id == "vera"
    assert told[3, False].outcome == reward_pb2.OUTCOME_NO_ANCESTOR

    # A refund by line: 40.00 of the shoes. 20 % of the rest is 8.00, more than the 7.00 that c2 was paid under the cap.
    await ledger.settle(message(by_line(reversed_(program, "c2", "r1", 4_000), shoes=4_000)))
    assert await ledger.available(program, "maria", "olga") == [600 + 525, 600 + 300]
    await ledger.settle(message(by_line(reversed_(program, "c2", "r2", 3_000, minutes_later=2), shoes=3_000)))
    assert await ledger.available(program, "maria", "olga") == [600 + 150, 600 + 75]
    whole = reversed_(program, "c2", "r3", 3_000, completes=True, minutes_later=3)
    await ledger.settle(message(by_line(whole, shoes=1_000, books=2_000)))
    assert await ledger.available(program, "maria", "olga", "vera") == [600, 600, 400]
    assert not (await ledger.audit(program)).findings


async def test_a_fixed_reward_may_ask_for_a_part_that_must_be_left(
    servers: Servers, ledger: Ledger, published: Published
) -> None:
    welcome = rule("welcome", percent="", amount=plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=500)))
    kept = plan_pb2.Rule()
    kept.CopyFrom(welcome)
    kept.rule_id, welcome.least_left_percent = "kept", "50"
    program = await published(plan(welcome, kept))
    await ledger.settle(message(recorded(program, "c1", 10_000)))
    await ledger.settle(message(reversed_(program, "c1", "r1", 5_000)))
    assert await ledger.available(program, "maria") == [1_000]
    await ledger.settle(message(reversed_(program, "c1", "r2", 4_999, minutes_later=2)))
    assert await ledger.available(program, "maria") == [500]
    (told,) = [each for each in await rewards_of(ledger, program, "c1") if each.rule_id == "welcome"]
    assert (told.amount_minor, told.net_minor) == (500, 0)
    why = (await explain_reward(ledger, program, told.reward_id, "en")).current
    assert why.outcome == reward_pb2.OUTCOME_TOO_LITTLE_LEFT
    assert why.sentence.endswith("nothing any more: less than 50 % of the conversion is left.")
    assert not (await ledger.audit(program)).findings
    assert (await rebuild(servers.postgres.url, program, lambda _total: lambda _done: None, jobs=1)).differences == []


async def test_a_share_is_explained_also_when_nothing_is_left_of_it(ledger: Ledger, published: Published) -> None:
    program = await published(plan(rule(share=plan_pb2.Share(percent="50"))))
    await ledger.settle(message(recorded(program, "c1", 10_000)))
    await ledger.settle(message(reversed_(program, "c1", "r1", 10_000, completes=True)))
    rewards = await rewards_of(ledger, program, "c1")
    assert [(each.beneficiary_id, each.level, each.amount_minor, each.net_minor) for each in rewards] == [
        ("maria", 1, 500, 0),
        ("vera", 0, 500, 0),
    ]
    told = await explain_reward(ledger, program, rewards[1].reward_id, "ru")
    assert told.derivation.sentence.startswith("Правило r платит 5.00 USD из 10.00 USD покупателю vera как его долю")
    assert list(told.derivation.steps) == [
        "50 % от 10.00 USD получает покупатель vera, остальное остаётся у участника maria."
    ]
    assert (
        told.current.sentence
        == "Правило r больше ничего не должно участнику maria на уровне 1: событие отменено полностью."
    )


async def test_a_condition_that_cannot_be_evaluated_pays_nothing_and_says_why(
    ledger: Ledger, published: Published
) -> None:
    program = await published(plan(rule(when="buyer.attributes.tier == 'gold'"), rule("other", percent="1")))
    await ledger.settle(message(recorded(program, "c1", 10_000)))
    assert await ledger.available(program, "maria") == [100]
    first = (await ledger.explain(program, "c1")).derivations[0]
    assert first.outcome == reward_pb2.OUTCOME_CONDITION_ERROR
    assert 'Key not found in map : "tier"' in first.sentence


async def test_within_a_month_of_the_bind(ledger: Ledger, published: Published) -> None:
    occurrence = plan_pb2.Occurrence()
    occurrence.within_of_binding.FromTimedelta(timedelta(days=30))
    program = await published(plan(rule(occurrence=occurrence)))
    bound = recorded(program, "c1", 10_000)
    bound.recorded.bind_time.CopyFrom(bound.recorded.conversion.draft.occurred_at)
    await ledger.settle(message(bound, recorded(program, "c2", 10_000)))
    assert await ledger.available(program, "maria") == [1_000]
    told = (await ledger.explain(program, "c2")).sentence
    assert told == "Nobody earns from c2: it is none of the buyer's conversions that are paid."


def before_the_bind(program: str, conversion_id: str, at: datetime = NOON) -> events_pb2.ConversionEvent:
    event = recorded(program, conversion_id, 10_000, occurred_at=at, record_time=at)
    event.recorded.bind_time.CopyFrom(to_timestamp(at + timedelta(days=1_000)))
    return event


async def test_an_order_of_before_the_bind_is_not_within_a_month_of_it(ledger: Ledger, published: Published) -> None:
    occurrence = plan_pb2.Occurrence()
    occurrence.within_of_binding.FromTimedelta(timedelta(days=30))
    asked = plan(rule(occurrence=occurrence))
    program = await published(asked)
    await ledger.settle(message(before_the_bind(program, "c1")))
    assert await ledger.available(program, "maria") == [0]
    again = await ledger.publish(program, asked)
    assert again.version == 1, "what is stored says more than what was sent, and means the same"
    assert again.plan.rules[0].occurrence.before_binding == plan_pb2.BEFORE_BINDING_EXCLUDED


async def test_a_plan_of_before_goes_on_paying_as_it_did_until_it_is_published_again(
    ledger: Ledger, servers: Servers, new_program_id: Callable[[str], str]
) -> None:
    occurrence = plan_pb2.Occurrence()
    occurrence.within_of_binding.FromTimedelta(timedelta(days=30))
    asked = plan(rule(occurrence=occurrence))
    program = new_program_id("stored")
    async with ledger.rewards.service.deps.database.transaction() as conn:
        await plans.insert(conn, PlanRow(program, 1, "USD", asked.SerializeToString(), None, NOON))
    await ledger.settle(message(before_the_bind(program, "c1")))
    assert await ledger.available(program, "maria") == [1_000]
    shown = (
        await ledger.plans.GetPlan(plan_pb2.GetPlanRequest(program_id=program), timeout=DEADLINE_SECONDS)
    ).plan_version
    assert shown.plan.rules[0].occurrence.before_binding == plan_pb2.BEFORE_BINDING_INCLUDED
    assert (await ledger.publish(program, shown.plan)).version == 1, "what is shown means what is stored"
    assert (await ledger.publish(program, asked)).version == 2, "it says something else now"
    await ledger.settle(message(before_the_bind(program, "c2", NOON.replace(year=2100))))
    assert await ledger.available(program, "maria") == [1_000]
    assert (await rebuild(servers.postgres.url, program, lambda _total: lambda _done: None, jobs=1)).differences == []
