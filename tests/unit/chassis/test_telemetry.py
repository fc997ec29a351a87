"""Metrics tell what is so, and no more series than they say."""

from prometheus_client import CollectorRegistry, Gauge

from chassis.telemetry import MOST_PROGRAMS, Snapshot, named_programs


def test_of_many_programs_those_with_the_most_are_named_and_the_others_are_one() -> None:
    counts = {f"p{number:03}": float(number) for number in range(1, 1_001)}
    told = named_programs(counts)
    assert len(told) == MOST_PROGRAMS + 1
    assert min(count for name, count in told.items() if name) == 981
    assert sum(told.values()) == sum(counts.values())


def test_a_few_programs_are_all_named() -> None:
    assert named_programs({"a": 1.0, "b": 2.0}) == {"a": 1.0, "b": 2.0}
    assert named_programs({}) == {}


def test_what_is_no_longer_so_is_not_told() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("things", "Things.", ["kind"], registry=registry)
    snapshot = Snapshot(gauge)
    snapshot.tell({("old",): 1.0, ("kept",): 2.0})
    gauge.labels("of somebody else").set(5.0)
    snapshot.tell({("kept",): 3.0})
    assert registry.get_sample_value("things", {"kind": "old"}) is None
    assert registry.get_sample_value("things", {"kind": "kept"}) == 3.0
    assert registry.get_sample_value("things", {"kind": "of somebody else"}) == 5.0
