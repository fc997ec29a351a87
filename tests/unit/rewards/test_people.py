"""Who is paid: link owners, conditions on people, qualification, occurrences."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.decide.decision import Moved, Outcome
from services.rewards.domain.decide.pay import decide
from services.rewards.domain.details import Details
from services.rewards.domain.tally.snapshot import Snapshot
from tests.unit.rewards.plans import MOMENT, buyer, conversion, counter, detailed, outcomes, paid, plan, rule, upline

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
    assert [each.steps for each in decisions] == [(Moved(2),), (Moved(3),), ()]
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


def test_hours_and_days_are_told_by_the_plans_clock() -> None:
    when = "event.weekday == 7 && event.hour == 3"  # 2026-03-01 is a Sunday; midnight in Greenwich is three in Moscow
    assert paid(plan(rule(when=when), time_zone="Europe/Moscow"), conversion())
    assert not paid(plan(rule(when=when)), conversion())
