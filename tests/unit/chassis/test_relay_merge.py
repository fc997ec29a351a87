"""Outbox rows joined into fewer stream messages."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import events_pb2

from chassis.relay import MERGE_BYTES, merge
from chassis.stream import Message


def batch(*ids: str) -> bytes:
    """A batch with events of these ids."""
    return events_pb2.RewardEventBatch(
        events=[events_pb2.RewardEvent(event_id=each) for each in ids]
    ).SerializeToString()


def ids(payload: bytes) -> list[str]:
    """The ids in a batch."""
    return [each.event_id for each in events_pb2.RewardEventBatch.FromString(payload).events]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.text(max_size=5), min_size=1, max_size=3)), max_size=12))
def test_joined_messages_hold_the_same_events_in_order(rows: list[tuple[str, list[str]]]) -> None:
    messages = [Message(subject, str(index), "t", batch(*names)) for index, (subject, names) in enumerate(rows)]
    merged = merge(messages)
    told = [(each.subject, name) for each in merged for name in ids(each.payload)]
    assert told == [(subject, name) for subject, names in rows for name in names]
    assert all(left.subject != right.subject for left, right in pairwise(merged))


def test_a_message_does_not_grow_beyond_the_limit() -> None:
    half = batch("x" * (MERGE_BYTES // 2 + 1))
    merged = merge([Message("s", str(number), "t", half) for number in range(3)])
    assert [each.message_id for each in merged] == ["0", "1", "2"]
    small = merge([Message("s", str(number), "t", batch("y")) for number in range(3)])
    assert len(small) == 1


def test_messages_with_other_parts_have_other_names() -> None:
    """A row that was committed late joins its neighbours when they are published again: that is not the same
    message."""
    first, late, last = (Message("s", str(number), "t", batch(str(number))) for number in range(3))
    ((before,), (after,), (again,)) = (merge(parts) for parts in ([first, last], [first, late, last], [first, last]))
    assert before.message_id != after.message_id
    assert before.message_id == again.message_id
