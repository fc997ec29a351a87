"""Snapshots and the periods of their keys."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rewards.domain.plan.periods import Period, period_name
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import Snapshot, from_json, snapshot_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(st.tuples(NAMES, NAMES, NAMES), st.integers(-(2**63), 2**63 - 1), max_size=8))
def test_a_snapshot_survives_being_kept(values: dict[tuple[str, str, str], int]) -> None:
    kept = Snapshot(values).to_json()
    assert from_json(kept).values == values
    assert Snapshot(dict(reversed(values.items()))).to_json() == kept


def test_a_snapshot_holds_what_it_was_asked_for_and_is_not_zero() -> None:
    sales, nothing = ((tallies.counter(name), "maria", "") for name in ("sales", "nothing"))
    other = (tallies.counter("sales"), "olga", "")
    snapshot = snapshot_of([sales, nothing], {sales: 3, nothing: 0, other: 7})
    assert snapshot.values == {("counter:sales", "maria", ""): 3}
    assert snapshot.value("counter:sales", "maria") == 3
    assert snapshot.value("counter:sales", "olga") == 0


@pytest.mark.parametrize(
    ("period", "start"),
    [
        (Period.LIFETIME, ""),
        (Period.DAY, "2026-06-01"),
        (Period.WEEK, "2026-W23"),
        (Period.MONTH, "2026-06"),
        (Period.QUARTER, "2026-Q2"),
        (Period.YEAR, "2026"),
    ],
)
def test_periods_begin_at_the_zones_midnight(period: Period, start: str) -> None:
    midnight = datetime(2026, 5, 31, 21, tzinfo=UTC)  # a Monday begins in Moscow
    assert period_name(period, midnight, ZoneInfo("Europe/Moscow")) == start
    assert period_name(Period.DAY, midnight, UTC) == "2026-05-31"
    assert period_name(Period.WEEK, midnight, UTC) == "2026-W22"
