"""Who is paid: link owners, conditions on people, qualification, occurrences."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.decide.decision import CompressionStep, Outcome
from services.rewards.domain.decide.pay import decide
from services.rewards.domain.details import Details
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import (
    MOMENT,
    buyer,
    conversion,
    counter,
    detailed,
    outcomes,
    paid,
    plan,
    rule,
    upline,
    usd,
)

OWNER = plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())
COMPRESS = plan_pb2.UNQUALIFIED_COMPRESS
GOLD = Details(
    upline_attributes=[{"tier": "tin"}, {"tier": "gold"}, {"tier": "gold"}], buyer_attributes={"tier": "tin"}
)
IS_GOLD = "beneficiary.attributes.tier == 'gold'"


def qualified(when: str = IS_GOLD, otherwise: int = plan_pb2.UNQUALIFIED_SKIP) -> plan_pb2.Qualification:
    return plan_pb2.Qualification(when=when, otherwise=otherwise)  # type: ignore[arg-type]


def per_level(*percents: str) -> plan_pb2.Amount:
    return plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=percents))


def test_a_links_owner_is_paid_and_never_the_buyer_himself() -> None:
    subject = plan(rule(to=OWNER))
    assert paid(subject, detailed(Details(link_owner_id="anna"))) == [("r", "anna", 1_000)]
    assert outcomes(subject, detailed(Details())) == [Outcome.NO_LINK_OWNER]
    assert outcomes(subject, detailed(Details(link_owner_id="vera"))) == [Outcome.NO_LINK_OWNER]


def test_a_links_owner_has_his_attributes_wherever_he_stands() -> None:
    subject = plan(rule(to=OWNER, when=IS_GOLD))
    above = Details(link_owner_id="olga", upline_attributes=GOLD.upline_attributes)
    elsewhere = Details(link_owner_id="anna", link_owner_attributes={"tier": "gold"})
    assert paid(subject, detailed(above)) == [("r", "olga", 1_000)]
    assert paid(subject, detailed(elsewhere)) == [("r", "anna", 1_000)]


def test_a_condition_asks_for_each_person() -> None:
    subject = plan(rule(to=upline(1, 3), when=f"{IS_GOLD} && level < 3"))
    assert outcomes(subject, detailed(GOLD)) == [Outcome.CONDITION, Outcome.PAID, Outcome.CONDITION]
    assert outcomes(plan(rule(to=buyer(), when=IS_GOLD)), detailed(GOLD)) == [Outcome.CONDITION]


def test_a_condition_asks_for_counters() -> None:
    subject = plan(rule(to=upline(1, 2), when="counters.volume >= 100"), counters=[counter()])
    snapshot = Snapshot({("counter:volume", "olga", ""): 100})
    assert paid(subject, conversion(), snapshot) == [("r", "olga", 1_000)]


def test_who_is_not_qualified_is_skipped() -> None:
    subject = plan(rule(to=upline(1, 3), amount=per_level("5", "3", "1"), qualification=qualified()))
    assert outcomes(subject, detailed(GOLD)) == [Outcome.UNQUALIFIED, Outcome.PAID, Outcome.PAID]
    assert paid(subject, detailed(GOLD)) == [("r", "olga", 300), ("r", "petr", 100)]
    assert outcomes(subject, conversion())[0] is Outcome.CONDITION_ERROR


def test_or_the_next_who_is_takes_the_level() -> None:
    subject = plan(rule(to=upline(1, 3), amount=per_level("5", "3", "1"), qualification=qualified(otherwise=COMPRESS)))
    assert paid(subject, detailed(GOLD)) == [("r", "olga", 500), ("r", "petr", 300)]
    decisions = decide(subject, detailed(GOLD))
    assert [each.steps for each in decisions] == [(CompressionStep(2),), (CompressionStep(3),), ()]
    assert decisions[2].outcome is Outcome.NO_ANCESTOR
    from_second = plan(rule(to=upline(2, 2), qualification=qualified(otherwise=COMPRESS)))
    assert paid(from_second, detailed(GOLD)) == [("r", "petr", 1_000)]
    true_distance = plan(rule(to=upline(1, 1), qualification=qualified("level >= 2", COMPRESS)))
    assert paid(true_distance, conversion()) == [("r", "olga", 1_000)]


@pytest.mark.parametrize(("before", "is_paid"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_first_so_many_are_paid(before: int, is_paid: bool) -> None:
    subject = plan(rule(occurrence=plan_pb2.Occurrence(first=2)))
    assert bool(paid(subject, conversion(), Snapshot({("occurrence:r", "vera", ""): before}))) is is_paid


@pytest.mark.parametrize(("before", "is_paid"), [(0, False), (1, False), (2, True), (3, False)])
def test_the_nth_is_paid(before: int, is_paid: bool) -> None:
    subject = plan(rule(occurrence=plan_pb2.Occurrence(nth=3)))
    assert bool(paid(subject, conversion(), Snapshot({("seen:r", "vera", ""): before}))) is is_paid


def test_only_so_long_after_the_bind() -> None:
    subject = plan(rule(occurrence=plan_pb2.Occurrence(within_of_binding=Duration(seconds=86_400))))
    late, last = MOMENT - timedelta(days=1), MOMENT - timedelta(days=1) + timedelta(microseconds=1)
    assert outcomes(subject, detailed(Details(bind_time=late))) == [Outcome.OCCURRENCE]
    assert outcomes(subject, detailed(Details(bind_time=last))) == [Outcome.PAID]
    assert outcomes(subject, conversion()) == [Outcome.OCCURRENCE]


def test_and_not_before_it() -> None:
    within = plan_pb2.Occurrence(within_of_binding=Duration(seconds=86_400))
    of_old = plan_pb2.Plan(assets=[usd()], rules=[rule(occurrence=within)], rounding=plan_pb2.ROUNDING_MODE_DOWN)
    years_later = detailed(Details(bind_time=MOMENT + timedelta(days=1_000)))
    assert outcomes(read_plan("shop", 1, "USD", of_old, None), years_later) == [Outcome.OCCURRENCE]
    assert paid(read_plan("shop", 1, "USD", of_old, None, stored=True), years_later), "as it paid when it was published"
    within.before_binding = plan_pb2.BEFORE_BINDING_INCLUDED
    assert paid(plan(rule(occurrence=within)), years_later)
    within.before_binding = plan_pb2.BEFORE_BINDING_EXCLUDED
    for stored in (False, True):
        message = plan_pb2.Plan(assets=[usd()], rules=[rule(occurrence=within)])
        assert outcomes(read_plan("shop", 1, "USD", message, None, stored=stored), years_later) == [Outcome.OCCURRENCE]


@pytest.mark.parametrize(("bound_later", "is_paid"), [(0, True), (60, True), (60.000001, False), (86_400, False)])
def test_clocks_that_differ_by_a_minute_cost_nobody_a_reward(bound_later: float, is_paid: bool) -> None:
    subject = plan(rule(occurrence=plan_pb2.Occurrence(within_of_binding=Duration(seconds=86_400))))
    bound = detailed(Details(bind_time=MOMENT + timedelta(seconds=bound_later)))
    assert bool(paid(subject, bound)) is is_paid


@pytest.mark.parametrize(
    ("bound", "days"),
    [(None, -1), (timedelta(0), 0), (timedelta(seconds=30), 0), (timedelta(hours=1), -1), (timedelta(days=9), -1),
     (timedelta(hours=-47), 1)],
)  # fmt: skip
def test_days_bound_tells_who_was_not_bound_then_from_who_was(bound: timedelta | None, days: int) -> None:
    bind_time = None if bound is None else MOMENT + bound
    assert paid(plan(rule(when=f"buyer.days_bound == {days}")), detailed(Details(bind_time=bind_time)))


def test_days_since_bind_stays_what_it_was_for_plans_that_ask_for_it() -> None:
    for bind_time, days in [(None, -1), (MOMENT + timedelta(hours=1), -1), (MOMENT + timedelta(days=9), -9)]:
        assert paid(plan(rule(when=f"buyer.days_since_bind == {days}")), detailed(Details(bind_time=bind_time)))


def test_hours_and_days_are_told_by_the_plans_clock() -> None:
    when = "event.weekday == 7 && event.hour == 3"  # 2026-03-01 is a Sunday; midnight in Greenwich is three in Moscow
    assert paid(plan(rule(when=when), time_zone="Europe/Moscow"), conversion())
    assert not paid(plan(rule(when=when)), conversion())
