"""Publishing again the events that a reader lacks."""

import pytest

from chassis import gaps
from chassis.gaps import BATCH_GAPS
from tests.faults.reconciling import Apparatus


async def test_a_message_that_is_held_keeps_nothing_from_being_published_again(
    apparatus: Apparatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "RETRY_BASE_SECONDS", 0.0)
    await apparatus.record("held")
    await apparatus.publish()
    reconciler = apparatus.reconciler
    reconciler.windows.held_seconds = 0.0
    for each in ("first", "second"):
        await apparatus.record(each)
        await apparatus.publish()
        await apparatus.lose_last()
        await reconciler.reconcile()
        assert await apparatus.published() == 2  # with the one that is held
        await reconciler.reconcile()
        assert await apparatus.published() == 2  # waits for its batch to be gone
        await apparatus.lose_last()
    assert await apparatus.gaps() == {"first": False, "second": False}


async def test_exactly_what_is_missing_is_published_again_until_the_reader_has_it(apparatus: Apparatus) -> None:
    await apparatus.record("one", "two", "three")
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled |= {"one", "three"}
    reconciler = apparatus.reconciler
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": False}
    assert await apparatus.read() == ["two"]
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": False}  # sent and read is not settled
    apparatus.settled.add("two")
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": True}


async def test_a_new_event_waits_behind_one_batch_at_most(apparatus: Apparatus) -> None:
    events = [f"event-{number}" for number in range(2 * BATCH_GAPS)]
    for each in events:
        await apparatus.record(each)
    await apparatus.publish()
    await apparatus.publish()
    await apparatus.lose_stream()
    reconciler = apparatus.reconciler
    await reconciler.reconcile()  # names the gaps, publishes a batch, and waits in vain for it to be read
    await apparatus.record("new")
    await apparatus.publish()
    sent = await apparatus.read()
    assert sent == [*events[:BATCH_GAPS], "new"]
    apparatus.settled |= set(sent)
    await reconciler.reconcile()
    assert await apparatus.read() == events[BATCH_GAPS:]


async def test_what_is_recorded_goes_ahead_of_what_is_published_again(apparatus: Apparatus) -> None:
    await apparatus.record("gap")
    await apparatus.publish()
    await apparatus.read()
    reconciler = apparatus.reconciler
    await apparatus.record("new")
    await reconciler.reconcile()
    assert await apparatus.read() == []
