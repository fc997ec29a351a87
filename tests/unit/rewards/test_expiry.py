"""Expiry, oldest first, against lots kept one by one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.rewards.domain.wallet.expiry import LOOK_AGAIN, look

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day: int) -> datetime:
    """A day."""
    return START + day * DAY


def test_the_oldest_go_first_and_are_announced_before() -> None:
    inflows = [(at(0), 100), (at(20), 50)]
    # Of 100 that expire on day 100, 30 were used; a week before their owner is told.
    early = look(inflows, 30, 100 * DAY, at(92), None)
    assert (early.expired_minor, early.warned_minor) == (0, 0)
    told = look(inflows, 30, 100 * DAY, at(93), None)
    assert (told.warned_minor, told.warned_time, told.warned_until) == (70, at(100), at(100))
    again = look(inflows, 30, 100 * DAY, at(94), told.warned_until)
    assert (again.warned_minor, again.warned_until) == (0, at(100))
    assert look(inflows, 30, 100 * DAY, at(100) - timedelta(microseconds=1), at(100)).expired_minor == 0
    gone = look(inflows, 30, 100 * DAY, at(100), at(100))
    assert (gone.expired_minor, gone.warned_minor, gone.check_time) == (70, 0, at(100) + LOOK_AGAIN)
    assert look(inflows, 100, 100 * DAY, at(113), at(100)).warned_minor == 50


def test_short_lives_are_announced_in_their_last_quarter() -> None:
    assert look([(at(0), 5)], 0, 8 * DAY, at(5), None).check_time == at(6)
    assert look([(at(0), 5)], 0, 8 * DAY, at(6), None).warned_minor == 5


def test_what_lives_less_than_a_day_is_looked_at_in_time() -> None:
    hour = timedelta(hours=1)
    # What comes right after a look at an empty wallet has to be announced, and to go in time.
    seen = look([], 0, 4 * hour, at(0), None).check_time
    assert at(0) < seen <= at(0) + 3 * hour
    assert look([], 0, 100 * DAY, at(0), None).check_time == at(0) + LOOK_AGAIN


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-60, 100)), max_size=30),
    st.integers(1, 30),
    st.integers(0, 100),
)
def test_the_formula_is_what_lots_would_say(steps: list[tuple[int, int]], life: int, end: int) -> None:
    lots: list[list[int]] = []
    inflows: list[tuple[datetime, int]] = []
    outflow = expired_by_lots = expired = 0
    for day in range(end + 1):
        for lot in [each for each in lots if each[0] + life <= day]:
            expired_by_lots += lot[1]
            lots.remove(lot)
        found = look(inflows, outflow, life * DAY, at(day), None)
        expired += found.expired_minor
        outflow += found.expired_minor
        assert expired == expired_by_lots
        for amount in [amount for when, amount in steps if when == day]:
            if amount > 0:
                lots.append([day, amount])
                inflows.append((at(day), amount))
            left = min(-amount, sum(each[1] for each in lots))
            if left > 0:
                outflow += left
            while left > 0:
                taken = min(left, lots[0][1])
                lots[0][1] -= taken
                left -= taken
                if not lots[0][1]:
                    lots.pop(0)
