"""The notices of one event to one participant."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.cause import Amount, Cause, Change, Earning, Kind, UnusableEventError, notices

MOMENT = datetime(2026, 3, 5, tzinfo=UTC)


def a_cause(earnings: list[Earning], change: Change = Change.ACCRUED) -> Cause:
    return Cause("e", "p", "c", "order", "vera", change, MOMENT, (), tuple(earnings))


def test_all_held_is_held_until_the_last_hold_ends() -> None:
    [notice] = notices(
        a_cause(
            [
                Earning("maria", 1, "points", 3, MOMENT + timedelta(days=2)),
                Earning("maria", 1, "points", 4, MOMENT + timedelta(days=1)),
            ]
        )
    )
    assert notice.kind is Kind.HELD
    assert notice.hold_until == MOMENT + timedelta(days=2)
    assert notice.amounts == (Amount("points", 7, 7),)


def test_partly_held_is_earned_and_says_what_is_held() -> None:
    [notice] = notices(
        a_cause([Earning("maria", 2, "points", 3, None), Earning("maria", 1, "points", 4, MOMENT)]),
    )
    assert (notice.kind, notice.level, notice.amounts) == (Kind.EARNED, 1, (Amount("points", 7, 4),))


@pytest.mark.parametrize(("change", "kind"), [(Change.RELEASED, Kind.RELEASED), (Change.REVERSED, Kind.REVERSED)])
def test_what_is_released_or_reversed_is_not_held(change: Change, kind: Kind) -> None:
    [notice] = notices(a_cause([Earning("maria", 1, "points", 3, MOMENT)], change))
    assert (notice.kind, notice.amounts, notice.hold_until) == (kind, (Amount("points", 3, 0),), None)


def test_what_waits_for_something_else_than_time_is_held_without_an_end() -> None:
    [notice] = notices(a_cause([Earning("maria", 1, "points", 3, None, waits=True)]))
    assert (notice.kind, notice.amounts, notice.hold_until) == (Kind.HELD, (Amount("points", 3, 3),), None)


def test_prizes_of_one_rank_are_one_notice() -> None:
    [notice] = notices(
        a_cause(
            [Earning("maria", 0, "points", 3, None, rank=2), Earning("maria", 0, "RUB", 4, None, rank=2)],
            Change.PRIZE_WON,
        )
    )
    assert (notice.kind, notice.rank) == (Kind.PRIZE_WON, 2)
    assert notice.amounts == (Amount("points", 3, 0), Amount("RUB", 4, 0))


def test_a_sum_beyond_int64_is_refused() -> None:
    huge = Earning("maria", 1, "points", 2**63 - 1, None)
    with pytest.raises(UnusableEventError):
        notices(a_cause([huge, huge]))


earnings = st.builds(
    Earning,
    st.sampled_from(["maria", "olga", "vera"]),
    st.integers(0, 5),
    st.sampled_from(["points", "RUB"]),
    st.integers(1, 1000),
    st.one_of(st.none(), st.just(MOMENT)),
    st.booleans(),
)


@given(st.lists(earnings, min_size=1))
def test_nobody_and_nothing_is_lost(given_earnings: list[Earning]) -> None:
    told = notices(a_cause(given_earnings))
    assert len({each.participant_id for each in told}) == len(told)
    for person in {each.beneficiary_id for each in given_earnings}:
        [notice] = [each for each in told if each.participant_id == person]
        for asset in ("points", "RUB"):
            mine = [each for each in given_earnings if (each.beneficiary_id, each.asset) == (person, asset)]
            amounts = [each for each in notice.amounts if each.asset == asset]
            assert sum(each.total_minor for each in amounts) == sum(each.amount_minor for each in mine)
            assert sum(each.held_minor for each in amounts) == sum(
                each.amount_minor for each in mine if each.hold_until or each.waits
            )
