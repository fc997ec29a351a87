"""Expiry, oldest first, against lots kept one by one, and against rewards that were never earned."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.rewards.domain.settle.debts import ExpiredPart, ExpiredValue
from services.rewards.domain.wallet.expiry import SCAN_INTERVAL, scan_wallet

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day: int) -> datetime:
    """A day."""
    return START + day * DAY


def test_the_oldest_go_first_and_are_announced_before() -> None:
    inflows = [(at(0), 100), (at(20), 50)]
    # Of 100 that expire on day 100, 30 were used; a week before their owner is told.
    early = scan_wallet(inflows, 30, 100 * DAY, at(92), None)
    assert (early.expired_minor, early.warned_minor) == (0, 0)
    told = scan_wallet(inflows, 30, 100 * DAY, at(93), None)
    assert (told.warned_minor, told.warned_time, told.warned_until) == (70, at(100), at(100))
    again = scan_wallet(inflows, 30, 100 * DAY, at(94), told.warned_until)
    assert (again.warned_minor, again.warned_until) == (0, at(100))
    assert scan_wallet(inflows, 30, 100 * DAY, at(100) - timedelta(microseconds=1), at(100)).expired_minor == 0
    gone = scan_wallet(inflows, 30, 100 * DAY, at(100), at(100))
    assert (gone.expired_minor, gone.warned_minor, gone.check_time) == (70, 0, at(100) + SCAN_INTERVAL)
    assert scan_wallet(inflows, 100, 100 * DAY, at(113), at(100)).warned_minor == 50


def test_short_lives_are_announced_in_their_last_quarter() -> None:
    assert scan_wallet([(at(0), 5)], 0, 8 * DAY, at(5), None).check_time == at(6)
    assert scan_wallet([(at(0), 5)], 0, 8 * DAY, at(6), None).warned_minor == 5


def test_what_lives_less_than_a_day_is_looked_at_in_time() -> None:
    hour = timedelta(hours=1)
    # What comes right after a look at an empty wallet has to be announced, and to go in time.
    seen = scan_wallet([], 0, 4 * hour, at(0), None).check_time
    assert at(0) < seen <= at(0) + 3 * hour
    assert scan_wallet([], 0, 100 * DAY, at(0), None).check_time == at(0) + SCAN_INTERVAL


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
        found = scan_wallet(inflows, outflow, life * DAY, at(day), None)
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


@dataclass
class Life:
    """One wallet, day by day. Rewards are named by the day on which they come."""

    span: int
    came: dict[int, int]
    used: dict[int, int]
    """Spends on a day, whether there is enough or not."""
    expired: list[tuple[int, int]] = field(default_factory=list)
    back: list[tuple[int, int]] = field(default_factory=list)
    """(reward, taken back of what expired)."""
    taken: dict[int, int] = field(default_factory=dict)

    def scan_wallet(self, day: int) -> None:
        """Lets everything expire whose day has come."""
        inflows = [(at(came), minor - self.taken.get(came, 0)) for came, minor in self.came.items() if came <= day]
        used = sum(minor for when, minor in self.used.items() if when < day)
        found = scan_wallet(inflows, used + self.gone, self.span * DAY, at(day), None)
        if found.expired_minor:
            self.expired.append((day, found.expired_minor))

    @property
    def gone(self) -> int:
        """The units that have expired."""
        return sum(minor for _, minor in self.expired) - sum(minor for _, minor in self.back)

    def refund(self, reward: int, minor: int) -> int:
        """Takes something of a reward back; returns how much of it had expired."""
        came = {str(each): at(each) for each in self.came}
        expiries = [ExpiredPart(at(day - self.span), each) for day, each in self.expired]
        expired = ExpiredValue(expiries, came, [(str(each), some) for each, some in self.back])
        gone = expired.withdraw(str(reward), minor)
        self.back.append((reward, gone))
        self.taken[reward] = self.taken.get(reward, 0) + minor
        return gone

    @property
    def left(self) -> int:
        """The available balance, or minus what is owed."""
        return sum(self.came.values()) - sum(self.taken.values()) - sum(self.used.values()) - self.gone


days = st.integers(0, 40)


@given(
    st.integers(1, 12),
    st.dictionaries(days, st.integers(1, 100), min_size=1),
    st.dictionaries(days, st.integers(1, 100)),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(0, 1)), max_size=6),
)
def test_what_is_taken_back_leaves_what_there_would_be_had_it_never_come(
    span: int, came: dict[int, int], used: dict[int, int], refunds: list[tuple[int, float, float]]
) -> None:
    came = dict(sorted(came.items()))
    life = Life(span, came, used)
    for day in range(61):
        life.scan_wallet(day)
        for when, which, share in refunds:
            reward = list(came)[int(which * (len(came) - 1))]
            if when == day and reward <= day:
                minor = int(share * (came[reward] - life.taken.get(reward, 0)))
                before = life.left
                assert 0 <= life.refund(reward, minor) <= minor
                assert life.left <= before
    never = Life(span, {each: minor - life.taken.get(each, 0) for each, minor in came.items()}, used)
    for day in range(61):
        never.scan_wallet(day)
    assert (life.left, life.gone) == (never.left, never.gone)


def test_what_expired_is_not_owed() -> None:
    life = Life(10, {0: 100, 5: 50}, {8: 30})
    for day in range(13):
        life.scan_wallet(day)
    # 70 of the first 100 expired on day 10. The second reward is there as a whole, and was never near its end.
    assert (life.gone, life.left) == (70, 50)
    assert (life.refund(5, 20), life.refund(0, 40), life.refund(0, 60)) == (0, 40, 30)
    # 30 of what is left pay for the 30 that were used of the first.
    assert (life.gone, life.left) == (0, 0)


def test_what_expired_before_is_no_discount() -> None:
    life = Life(10, {0: 100, 20: 50}, {21: 50})
    for day in range(25):
        life.scan_wallet(day)
    assert life.refund(20, 50) == 0
    assert life.left == -50
