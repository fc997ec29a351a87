"""A dead letter tells the traces of its facts."""

from datetime import UTC, datetime
from typing import Any, cast

from upline.attribution.v1 import events_pb2 as attribution_events_pb2
from upline.attribution.v1 import people_pb2
from upline.rewards.v1 import events_pb2 as rewards_events_pb2

from chassis.dead_letters import DeadLetter
from chassis.topology import CLICKS, CONVERSIONS, PEOPLE, REWARDS
from cli.dead_letters import SHOWN_TRACES, ServiceLetter

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def traces(subject: str, payload: bytes) -> list[str]:
    """The traces that are told of a message."""
    letter = DeadLetter("reader", "name", subject, payload, "an error", 15, NOW, NOW)
    told = ServiceLetter("service", cast(Any, None), letter).facts()["trace_ids"]
    return list(told)


def test_each_trace_of_a_message_is_told_once() -> None:
    recorded, reversed_ = attribution_events_pb2.ConversionEvent(), attribution_events_pb2.ConversionEvent()
    recorded.recorded.trace_id, reversed_.reversed.trace_id = "a" * 32, "b" * 32
    batch = attribution_events_pb2.ConversionEventBatch(events=[recorded, reversed_, recorded])
    assert traces(CONVERSIONS.subject, batch.SerializeToString()) == ["a" * 32, "b" * 32]
    people = people_pb2.ParticipantEventBatch(events=[people_pb2.ParticipantEvent(trace_id="c" * 32)])
    assert traces(PEOPLE.subject, people.SerializeToString()) == ["c" * 32]
    rewards = rewards_events_pb2.RewardEventBatch()
    for number in range(SHOWN_TRACES + 5):
        rewards.events.add(trace_id=f"{number:032}")
    assert traces(REWARDS.subject, rewards.SerializeToString()) == [f"{number:032}" for number in range(SHOWN_TRACES)]


def test_a_message_without_traces_has_none() -> None:
    older = attribution_events_pb2.ConversionEventBatch(events=[attribution_events_pb2.ConversionEvent(event_id="x")])
    assert traces(CONVERSIONS.subject, older.SerializeToString()) == []
    assert traces(CONVERSIONS.subject, b"\xff\xff") == []
    assert traces(CLICKS.subject, b"") == []
