"""Live inboxes miss nothing and tell nothing twice."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import UUID

import grpc
import pytest
from sqlalchemy import text
from upline.notify.v1 import notify_pb2_grpc

from chassis.database import Database
from chassis.ids import new_id
from services.notify.domain.cause import notices
from services.notify.domain.inbox import Inbox
from services.notify.queries import watch as watch_module
from services.notify.queries.watch import Watches
from services.notify.store import causes as cause_store
from services.notify.store import entries as entry_store
from services.notify.store.causes import NumberedCause
from services.notify.wire.events import read_cause
from tests.conftest import Servers
from tests.errors import reason_of
from tests.integration.notify.conftest import (
    NotifyFactory,
    Publish,
    Watcher,
    earning,
    reward_event,
    watching,
    when_there,
)
from tests.running import DEADLINE_SECONDS, Running

_PLANS = text(
    "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%pg_visible_in_snapshot%'"
)
Inboxes = notify_pb2_grpc.InboxServiceStub
NewProgram = Callable[[str], str]


async def test_an_entry_arrives_while_watching(notify: Running, publish: Publish, new_program_id: NewProgram) -> None:
    program = new_program_id("live")
    await publish(reward_event(program, [earning("maria", 1, 1)], event_id="before"))
    await when_there(notify_pb2_grpc.InboxServiceStub(notify.channel), program, "maria", 1)
    async with watching(notify, program, "maria") as watcher:
        await publish(reward_event(program, [earning("olga", 2, 9)]))
        await publish(reward_event(program, [earning("maria", 1, 21), earning("olga", 2, 5)], event_id="after"))
        [entry] = await watcher.entries(1)
    assert (entry.cause_id, entry.title) == ("after", "You earned 21 points")


async def test_a_watch_resumes_after_the_last_entry(
    notify: Running, inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("resume")
    async with watching(notify, program, "maria") as watcher:
        await publish(reward_event(program, [earning("maria", 1, 1)], event_id="first"))
        [first] = await watcher.entries(1)
    missed = [reward_event(program, [earning("maria", 1, n + 1)], event_id=f"missed-{n}") for n in range(700)]
    await publish(*missed[:400])
    await publish(*missed[400:])
    await when_there(inboxes, program, "maria", 701)
    async with watching(notify, program, "maria", first.entry_id) as watcher:
        entries = await watcher.entries(700)
        await publish(reward_event(program, [earning("maria", 1, 1)], event_id="last"))
        [last] = await watcher.entries(1)
    assert sorted(each.cause_id for each in entries) == sorted(each.event_id for each in missed)
    assert last.cause_id == "last"


async def test_two_watchers_on_two_instances(
    notify: Running, publish: Publish, notify_factory: NotifyFactory, new_program_id: NewProgram
) -> None:
    program = new_program_id("replicas")
    async with (
        notify_factory() as second,
        watching(notify, program, "maria") as one,
        watching(second, program, "maria") as two,
        watching(second, program, "olga") as other,
    ):
        sent = []
        for n in range(60):
            event = reward_event(program, [earning("maria", 1, n + 1), earning("olga", 2, 1)])
            sent.append(event.event_id)
            await publish(event)
        for watcher in (one, two, other):
            assert sorted(each.cause_id for each in await watcher.entries(60)) == sorted(sent)


async def test_nothing_is_missed_without_announcements(
    notify: Running, publish: Publish, new_program_id: NewProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notify.commands.deliver.announcements", lambda _inboxes: iter(()))
    program = new_program_id("silent")
    async with watching(notify, program, "maria") as watcher:
        await publish(reward_event(program, [earning("maria", 1, 1)], event_id="unannounced"))
        assert [each.cause_id for each in await watcher.entries(1)] == ["unannounced"]


class Writer:
    """Writes entries in transactions that the test commits when it likes."""

    def __init__(self, database: Database, inbox: Inbox) -> None:
        self._database = database
        self._inbox = inbox

    async def write(self, number: int, go: asyncio.Event, written: asyncio.Event) -> UUID:
        """Writes the entry with a given number as its id, and commits when told to go."""
        told = read_cause(
            reward_event(
                self._inbox.program_id, [earning(self._inbox.participant_id, 1, number)], event_id=f"n-{number}"
            )
        )
        entry_id = UUID(int=(0x0198_0000_0000 + number) << 80 | new_id().int & (1 << 80) - 1)
        async with self._database.transaction() as conn:
            await cause_store.claim(conn, [NumberedCause(entry_id, told)], datetime.now(UTC))
            await entry_store.write(conn, [(entry_id, self._inbox.program_id, notices(told))])
            written.set()
            await go.wait()
        return entry_id


async def _seen(watcher: Watcher, count: int) -> list[str]:
    return [each.cause_id for each in await watcher.entries(count)]


async def test_what_commits_late_with_a_smaller_id_arrives_once(
    notify: Running, servers: Servers, new_program_id: NewProgram
) -> None:
    program = new_program_id("late")
    database = Database(servers.settings("notify").database_url, "notify")
    writer = Writer(database, Inbox(program, "maria"))
    go_late, go, written_late, written = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    go.set()
    async with watching(notify, program, "maria") as watcher:
        late = asyncio.create_task(writer.write(1, go_late, written_late))
        await written_late.wait()
        newer = await writer.write(2, go, written)
        assert await _seen(watcher, 1) == ["n-2"]
        async with watching(notify, program, "maria") as joined_between:
            go_late.set()
            await late
            await writer.write(3, go, written)
            assert await _seen(watcher, 2) == ["n-1", "n-3"]
            assert await _seen(joined_between, 2) == ["n-1", "n-3"]
    async with watching(notify, program, "maria", str(newer)) as resumed:
        assert await _seen(resumed, 2) == ["n-1", "n-3"]
    await database.close()


async def test_a_new_watch_begins_with_what_is_written_from_then_on(
    servers: Servers, new_program_id: NewProgram
) -> None:
    """Another watch keeps the process's position in the past; the new one does not inherit it."""
    database = Database(servers.settings("notify").database_url, "notify")
    inbox = Inbox(new_program_id("begin"), "maria")
    writer = Writer(database, inbox)
    go, written = asyncio.Event(), asyncio.Event()
    go.set()
    watches = Watches(database)
    with watches.watch(inbox) as old:
        await watches.hand_out_fresh_entries()
        await writer.write(1, go, written)
        with watches.watch(inbox) as new:
            await watches.hand_out_fresh_entries()
            await writer.write(2, go, written)
            await watches.hand_out_fresh_entries()
            assert [each.cause_id for each in await anext(old.live())] == ["n-1", "n-2"]
            assert [each.cause_id for each in await anext(new.live())] == ["n-2"]
    await database.close()


async def test_a_look_is_planned_for_what_it_looks_for(servers: Servers, new_program_id: NewProgram) -> None:
    """A plan made once for any look, while tables are small, would read whole tables when they have grown."""
    database = Database(servers.settings("notify").database_url, "notify")
    inbox = Inbox(new_program_id("plan"), "maria")
    writer = Writer(database, inbox)
    go, written = asyncio.Event(), asyncio.Event()
    go.set()
    watches = Watches(database)
    with watches.watch(inbox):
        # After a few rounds the driver prepares the statements, and after a few more the server would use one plan for
        # all.
        for number in range(1, 21):
            await watches.hand_out_fresh_entries()
            await writer.write(number, go, written)
    async with database.transaction() as conn:
        plans = (await conn.execute(_PLANS)).all()
    assert plans
    assert not sum(generic for _, generic in plans)
    assert sum(custom for custom, _ in plans) > 10
    await database.close()


async def test_who_leaves_is_forgotten(notify: Running, new_program_id: NewProgram) -> None:
    program = new_program_id("gone")
    watches: Watches = notify.service.watches
    before = watches.count
    async with watching(notify, program, "maria"), watching(notify, program, "olga"):
        assert watches.count == before + 2
    async with asyncio.timeout(DEADLINE_SECONDS):
        while watches.count > before:
            await asyncio.sleep(0.02)
    assert Inbox(program, "maria").digest() not in watches._digests


async def test_who_reads_too_slowly_is_sent_away(
    notify: Running, publish: Publish, new_program_id: NewProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "MAX_WAITING_ENTRIES", 50)
    program = new_program_id("slow")
    async with watching(notify, program, "maria") as watcher:
        await publish(*(reward_event(program, [earning("maria", 1, n + 1)]) for n in range(200)))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watcher.entries(200)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "resume after the last" in (caught.value.details() or "")


async def test_a_stopping_server_sends_its_watchers_to_another(
    notify_factory: NotifyFactory, new_program_id: NewProgram
) -> None:
    async with notify_factory() as service:
        watcher = Watcher(service.target, new_program_id("stop"), "maria")
        await watcher.begun()
        began = asyncio.get_running_loop().time()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watcher.entries(1)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert asyncio.get_running_loop().time() - began < 8, "the watch kept the server from stopping"
    await watcher.leave()


async def test_a_forged_entry_id_is_refused(notify: Running, new_program_id: NewProgram) -> None:
    watcher = Watcher(notify.target, new_program_id("forged"), "maria", "not-an-id")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watcher.begun()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "after_entry_id" in (caught.value.details() or "")
    await watcher.leave()


async def test_one_inbox_has_so_many_watches_and_others_have_room(notify: Running, new_program_id: NewProgram) -> None:
    program = new_program_id("crowd")
    async with AsyncExitStack() as open_watches:
        first = await open_watches.enter_async_context(watching(notify, program, "maria"))
        for _ in range(watch_module.MAX_INBOX_WATCHES - 1):
            await open_watches.enter_async_context(watching(notify, program, "maria"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await open_watches.enter_async_context(watching(notify, program, "maria"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(caught.value) == "TOO_MANY_WATCHES_OF_INBOX"
        await open_watches.enter_async_context(watching(notify, program, "olga"))
        count = notify.service.watches.count
        await first.leave()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while notify.service.watches.count == count:
                await asyncio.sleep(0.01)
        await open_watches.enter_async_context(watching(notify, program, "maria"))
