"""The rounds of the reconciler, with a reader that has what a test says."""

from nats.js.errors import NotFoundError

from tests.faults.reconciling import READER, SPEC, Apparatus


async def test_rows_are_kept_until_the_reader_has_them(apparatus: Apparatus) -> None:
    for each in ("settled", "gap"):
        await apparatus.record(each)
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled.add("settled")
    await apparatus.owner.execute("UPDATE outbox SET publish_time = publish_time - interval '8 days'")
    reconciler = apparatus.reconciler
    assert await reconciler.purge() == 0
    await reconciler.reconcile()
    assert await reconciler.purge() == 1
    apparatus.settled.add("gap")
    await reconciler.reconcile()
    assert await reconciler.purge() == 1


async def test_a_stream_that_is_missing_is_made(apparatus: Apparatus) -> None:
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    try:
        await apparatus.jetstream.consumer_info(SPEC.name, READER)
    except NotFoundError as error:
        raise AssertionError("nobody made the consumer") from error
