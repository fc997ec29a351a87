"""Messages that no broker refuses, whatever a plan pays to how many."""

from collections import Counter

from upline.rewards.v1 import events_pb2

from services.rewards.events import EVENTS_A_MESSAGE, MAX_PAYLOAD_BYTES, messages

BROKER_DEFAULT_BYTES = 1024 * 1024
"""`max_payload` of a NATS server that nobody configured."""


def fact(name: str, levels: int, rules: int = 1) -> events_pb2.RewardEvent:
    """A fact with an earning for each level and rule."""
    return events_pb2.RewardEvent(
        event_id=f"conversion:shop/{name}",
        program_id="shop",
        conversion_id=name,
        earnings=[
            events_pb2.Earning(
                reward_id=f"{rule << 8 | level:032x}",
                rule_id=f"rule-{rule}",
                beneficiary_id=f"{'x' * 100}-{level}",
                level=level,
                asset="points",
                amount_minor=10**6,
            )
            for rule in range(rules)
            for level in range(levels)
        ],
    )


def told(facts: list[events_pb2.RewardEvent]) -> list[events_pb2.RewardEvent]:
    """The events in the messages of these facts, after a look at the messages' sizes."""
    events: list[events_pb2.RewardEvent] = []
    for message in messages(facts):
        assert len(message.payload) < BROKER_DEFAULT_BYTES
        batch = events_pb2.RewardEventBatch.FromString(message.payload)
        assert 0 < len(batch.events) <= EVENTS_A_MESSAGE
        events += batch.events
    return events


def test_a_thousand_facts_of_sixty_levels_are_cut_into_messages_a_broker_takes() -> None:
    facts = [fact(f"c{number}", levels=60) for number in range(1_000)]
    assert told(facts) == facts


def test_small_facts_share_a_message() -> None:
    assert len(messages([fact(f"c{number}", levels=3) for number in range(EVENTS_A_MESSAGE)])) == 1
    assert messages([]) == []


def test_a_fact_beyond_any_message_is_told_in_parts_and_everybody_once() -> None:
    whole = fact("c1", levels=64, rules=200)
    assert whole.ByteSize() > 2 * MAX_PAYLOAD_BYTES
    parts = told([whole])
    assert len({each.event_id for each in parts}) == len(parts) > 1
    assert parts[0].event_id == whole.event_id
    people = Counter(person for part in parts for person in {each.beneficiary_id for each in part.earnings})
    assert set(people.values()) == {1}
    assert sorted(each.reward_id for part in parts for each in part.earnings) == sorted(
        each.reward_id for each in whole.earnings
    )
    assert {each.conversion_id for each in parts} == {"c1"}


def test_events_are_framed_as_protobuf_frames_them() -> None:
    """The length of an event takes one byte, two or three; all are framed alike."""
    facts = [events_pb2.RewardEvent(event_id="x" * size) for size in (0, 1, 120, 130, 16_380, 16_390, 70_000)]
    (carried,) = messages(facts)
    assert carried.payload == events_pb2.RewardEventBatch(events=facts).SerializeToString()
