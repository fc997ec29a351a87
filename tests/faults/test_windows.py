"""Comparing the outbox with a reader that has just the facts that a test says."""

from datetime import timedelta

import psycopg
import pytest

from chassis import windows
from tests.faults.reconciling import READER, SCHEMA, SPEC, Apparatus, batch

FAILING = 30


async def test_a_row_that_is_committed_late_is_neither_a_gap_nor_passed_over(apparatus: Apparatus) -> None:
    options = f"-c search_path={SCHEMA}"
    late = await psycopg.AsyncConnection.connect(apparatus.servers.postgres.url, options=options)
    reconciler = apparatus.reconciler
    try:
        await apparatus.record("late", conn=late)  # has its id, and is committed below
        await apparatus.record("prompt")
        await apparatus.publish()
        apparatus.settled |= set(await apparatus.read())
        await reconciler.reconcile()
        assert await apparatus.compared() == 0
        await late.commit()
        await apparatus.publish()
        await reconciler.reconcile()
        assert await apparatus.compared() == 0  # the reader has not read it yet
        assert await apparatus.read() == ["late"]
        apparatus.settled.add("late")
        await reconciler.reconcile()
        assert await apparatus.compared() == 2
        assert await apparatus.gaps() == {}
    finally:
        await late.close()


async def test_what_waits_on_the_stream_is_no_gap(apparatus: Apparatus) -> None:
    reconciler = apparatus.reconciler
    await apparatus.record("waits")
    await reconciler.reconcile()  # not published yet
    await apparatus.publish()
    await reconciler.reconcile()  # on the stream
    assert (await apparatus.compared(), await apparatus.gaps()) == (0, {})


async def test_what_is_for_another_stream_is_passed_over(apparatus: Apparatus) -> None:
    """Be it published, or not: the other stream may take nothing."""
    reconciler = apparatus.reconciler
    reconciler.windows.again_after = timedelta(0)
    await apparatus.record("elsewhere", subject="elsewhere.test")
    await apparatus.owner.execute("UPDATE outbox SET publish_time = now()")
    await apparatus.record("here")
    await apparatus.record("waits", subject="elsewhere.test")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    assert apparatus.settled == {"here"}
    await reconciler.reconcile()
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.compared("again_id"), await apparatus.gaps()) == (3, 3, {})


async def test_messages_that_fail_for_long_keep_nothing_else_from_being_compared(apparatus: Apparatus) -> None:
    for number in range(FAILING):
        await apparatus.record(f"fails-{number}")
        await apparatus.publish()
    await apparatus.jetstream.publish(SPEC.subject, b"nobody can read this")
    reconciler = apparatus.reconciler
    reconciler.windows.held_seconds = 0.0
    for each in ("settled", "lost"):
        await apparatus.record(each)
        await apparatus.publish()
        await apparatus.lose_last()  # one of them as by its reader
    apparatus.settled.add("settled")
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (FAILING + 2, {"lost": False})


async def test_more_that_is_held_than_may_be_read_is_no_gap(
    apparatus: Apparatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = apparatus.reconciler
    reconciler.windows.held_seconds = 0.0
    for number in range(2):
        await apparatus.record(f"fails-{number}")
        await apparatus.publish()
    for limit in ("HELD_MESSAGES", "HELD_BYTES"):
        with monkeypatch.context() as context:
            context.setattr(windows, limit, 1)
            await reconciler.reconcile()
        assert (await apparatus.compared(), await apparatus.gaps()) == (0, {})
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (2, {})


async def test_a_reader_that_does_not_answer_has_no_gap(silent_apparatus: Apparatus) -> None:
    await silent_apparatus.record("unknown")
    await silent_apparatus.publish()
    await silent_apparatus.lose_stream()
    await silent_apparatus.reconciler.reconcile()
    assert (await silent_apparatus.compared(), await silent_apparatus.gaps()) == (0, {})


async def test_a_lost_stream_costs_what_was_under_way_only(apparatus: Apparatus) -> None:
    for number in range(3):
        await apparatus.record(f"settled-{number}")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    await apparatus.reconciler.reconcile()
    await apparatus.record("under-way")
    await apparatus.publish()
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    assert await apparatus.gaps() == {"under-way": False}
    assert await apparatus.read() == ["under-way"]


async def test_what_is_set_aside_is_no_gap(apparatus: Apparatus) -> None:
    await apparatus.record("set-aside", "settled")
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled.add("settled")
    await apparatus.owner.execute(
        "INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)"
        " VALUES (%s, 'letter', %s, %s, 'error', now()), (%s, 'unreadable', %s, %s, 'error', now())",
        [READER, SPEC.subject, batch("set-aside", "settled"), READER, SPEC.subject, batch()],
    )
    await apparatus.reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (1, {})


async def test_what_a_reader_has_lost_is_found_when_it_is_asked_again(apparatus: Apparatus) -> None:
    """As after a failover to a database that lacks the last commits."""
    await apparatus.record("lost", "kept")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    reconciler = apparatus.reconciler
    await reconciler.reconcile()
    apparatus.settled.remove("lost")
    await reconciler.reconcile()
    assert await apparatus.gaps() == {}
    reconciler.windows.again_after = timedelta(0)
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"lost": False}


async def test_what_was_held_is_compared_at_once_when_the_stream_is_lost(apparatus: Apparatus) -> None:
    await apparatus.record("settled")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    reconciler = apparatus.reconciler
    reconciler.windows.held_seconds = 0.0
    await reconciler.reconcile()
    for each in ("held", "held too"):
        await apparatus.record(each)
        await apparatus.publish()
        await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (3, {})
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (3, {"held": False, "held too": False})


async def test_what_was_held_is_compared_again_however_old_it_was(apparatus: Apparatus) -> None:
    await apparatus.record("held")
    await apparatus.publish()
    reconciler = apparatus.reconciler
    reconciler.windows.held_seconds = 0.0
    reconciler.windows.again_after = timedelta(0)
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (1, {})
    await apparatus.lose_last()
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"held": False}
