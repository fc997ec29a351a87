"""A thing that failed rests, longer after each failure, and is remembered within a bound."""

from services.rewards.commands import resting
from services.rewards.commands.resting import Resting

ERROR = ValueError("no")


def test_it_rests_twice_as_long_after_each_failure_up_to_a_bound() -> None:
    rests = Resting[str](1.0, 4.0)
    now, pauses = 0.0, []
    for _ in range(5):
        rests.failed("a", ERROR, now)
        assert rests.error_of("a", now) is ERROR
        assert rests.keys(now) == ["a"]
        began = now
        while rests.error_of("a", now):
            now += 0.5
        pauses.append(now - began)
        assert rests.keys(now) == []
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]
    rests.worked("a")
    rests.failed("a", ERROR, now)
    assert rests.error_of("a", now + 1.0) is None


def test_beyond_its_bound_what_failed_first_is_forgotten() -> None:
    rests = Resting[int](1.0, 4.0)
    for each in range(resting.MAX_RESTING + 1):
        rests.failed(each, ERROR, 0.0)
    assert rests.error_of(0, 0.5) is None
    assert rests.error_of(1, 0.5) is ERROR
    assert len(rests.keys(0.5)) == resting.MAX_RESTING
