"""Shares: a split that sums to the whole."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.details import Details
from services.rewards.domain.plan.shares import split
from services.rewards.domain.settle.accrual import accrue
from tests.unit.rewards.plans import conversion, detailed, paid, percent, plan, rule, upline

CHOSEN = plan_pb2.Share(chosen=plan_pb2.ChosenShare(min_percent="0", max_percent="100", default_percent="0"))


def test_the_buyer_gets_a_part_and_nobody_more_money() -> None:
    subject = plan(rule(share=plan_pb2.Share(percent="25")))
    assert paid(subject, conversion(10_010)) == [("r", "maria", 751), ("r", "vera", 250)]
    rewards = accrue(subject, conversion(10_010)).rewards
    assert [(each.level, each.reward_id[-4:]) for each in rewards] == [(1, "0001"), (0, "0081")]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", [("r", "maria", 1_000)]),
        ("50", [("r", "maria", 500), ("r", "vera", 500)]),
        ("100", [("r", "vera", 1_000)]),
    ],
)
def test_self_friend_or_half(chosen: str, expected: list[tuple[str, str, int]]) -> None:
    subject = plan(rule(share=CHOSEN))
    assert paid(subject, detailed(Details(share_percent=chosen))) == expected


def test_a_choice_stays_within_the_bounds() -> None:
    share = plan_pb2.Share(chosen=plan_pb2.ChosenShare(min_percent="10", max_percent="40", default_percent="20"))
    subject = plan(rule(share=share))
    given = {
        chosen: [amount for _, who, amount in paid(subject, detailed(Details(share_percent=chosen))) if who == "vera"]
        for chosen in ("", "5", "30", "99.5")
    }
    assert given == {"": [200], "5": [100], "30": [300], "99.5": [400]}


def test_who_gives_all_of_it_is_told_so() -> None:
    first, second = decide(plan(rule(share=CHOSEN)), detailed(Details(share_percent="100")))
    assert (first.outcome, first.amount_minor, first.is_share) == (Outcome.SHARED, 0, False)
    assert (second.outcome, second.beneficiary_id, second.is_share) == (Outcome.PAID, "vera", True)


def test_a_links_owner_shares_by_what_stands_on_that_link() -> None:
    subject = plan(rule(to=plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner()), share=CHOSEN))
    details = Details(link_owner_id="anna", share_percent="10", link_share_percent="30")
    assert paid(subject, detailed(details)) == [("r", "anna", 700), ("r", "vera", 300)]


@given(st.integers(0, 10**15), st.fractions(0, 100, max_denominator=10**6))
def test_the_parts_sum_to_the_whole_and_err_by_half_a_unit(amount: int, share: Fraction) -> None:
    stays, given_minor = split(amount, share)
    assert stays + given_minor == amount
    assert stays >= 0 <= given_minor
    assert abs(given_minor - amount * share / 100) <= Fraction(1, 2)


def test_the_unit_between_stays() -> None:
    assert split(1, Fraction(50)) == (1, 0)
    assert split(3, Fraction(50)) == (2, 1)
    assert split(3, Fraction(60)) == (1, 2)


def test_every_level_is_split() -> None:
    subject = plan(rule(to=upline(1, 2), amount=percent("10"), share=plan_pb2.Share(percent="50")))
    assert paid(subject, conversion(1_000)) == [
        ("r", "maria", 50), ("r", "vera", 50), ("r", "olga", 50), ("r", "vera", 50),
    ]  # fmt: skip
