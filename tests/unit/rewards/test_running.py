"""Tallies while facts are decided one after the other."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.domain.tally.tallies import TallyKey, pair

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VOLUME = (tallies.counter("volume"), "maria", "2026-05-01")
HEADS = (tallies.counter("heads"), "maria", "")
SCORE = (tallies.contest("spring"), "maria", "")


def member(buyer: str, *, of_contest: bool = False) -> TallyKey:
    """How often a buyer counts for maria."""
    name = tallies.contest_member("spring") if of_contest else tallies.member("heads")
    return (name, pair("maria", buyer), "")


def test_each_fact_sees_what_those_before_it_left() -> None:
    running = RunningTallies({VOLUME: 40})
    assert running.snapshot([VOLUME, HEADS]).values == {VOLUME: 40}
    running.apply({VOLUME: 60, HEADS: 0}.items(), (NOON, 1))
    assert running.snapshot([VOLUME, HEADS]).values == {VOLUME: 100}
    running.apply({VOLUME: -100}.items(), (NOON, 1))
    assert running.snapshot([VOLUME]).values == {}
    assert running.changes == {VOLUME: -40}


def test_a_score_remembers_the_latest_fact_that_changed_it_in_whatever_order_they_come() -> None:
    running = RunningTallies({})
    later = NOON + timedelta(hours=1)
    running.apply({SCORE: 3, VOLUME: 3}.items(), (later, 1))
    running.apply({SCORE: 2, VOLUME: 2}.items(), (NOON, 1))
    assert running.reached == {SCORE: (later, 1)}
    running.apply({SCORE: -1}.items(), (later, 2))
    assert running.reached == {SCORE: (later, 2)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([1, -1])), max_size=40))
def test_heads_are_those_that_count_at_least_once(facts: list[tuple[str, bool, int]]) -> None:
    running = RunningTallies({member("a"): 1, HEADS: 1})
    times = {("a", False): 1}
    for buyer, of_contest, step in facts:
        if times.get((buyer, of_contest), 0) + step < 0:
            continue
        times[buyer, of_contest] = times.get((buyer, of_contest), 0) + step
        running.apply({member(buyer, of_contest=of_contest): step}.items(), (NOON, 1))
    assert running.value(HEADS) == sum(count > 0 for (_, contest), count in times.items() if not contest)
    assert running.value(SCORE) == sum(count > 0 for (_, contest), count in times.items() if contest)
    assert running.value(HEADS) == 1 + running.changes.get(HEADS, 0)
