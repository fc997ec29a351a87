"""The pages of an inbox, its unread counts and its marks."""

from collections.abc import Callable

import grpc
import psycopg
import pytest
from upline.notify.v1 import notify_pb2, notify_pb2_grpc

from services.notify.store import entries as entry_store
from tests.conftest import Servers
from tests.integration.notify.conftest import Publish, earning, listed, reward_event, when_there
from tests.running import DEADLINE_SECONDS, Running
from tests.touching import touching

Inboxes = notify_pb2_grpc.InboxServiceStub
NewProgram = Callable[[str], str]


def marking(program: str, entry_id: str, request_id: str) -> notify_pb2.MarkInboxReadRequest:
    return notify_pb2.MarkInboxReadRequest(
        request_id=f"{program}/{request_id}", program_id=program, participant_id="maria", up_to_entry_id=entry_id
    )


async def test_pages_are_newest_first_and_stable_while_entries_arrive(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("pages")
    await publish(*(reward_event(program, [earning("maria", 1, n + 1)], event_id=str(n)) for n in range(25)))
    await when_there(inboxes, program, "maria", 25)
    first = await listed(inboxes, program, "maria", page_size=10)
    await publish(reward_event(program, [earning("maria", 1, 99)], event_id="late"))
    await when_there(inboxes, program, "maria", 26)
    second = await listed(inboxes, program, "maria", page_size=10, page_token=first.next_page_token)
    third = await listed(inboxes, program, "maria", page_size=10, page_token=second.next_page_token)
    seen = [each.cause_id for page in (first, second, third) for each in page.entries]
    assert seen == [str(n) for n in reversed(range(25))]
    assert third.next_page_token == ""
    assert (first.unread_count, second.unread_count) == (25, 26)


async def test_a_page_token_is_bound_to_its_inbox(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("token")
    await publish(*(reward_event(program, [earning("maria", 1, 1)]) for _ in range(3)))
    await when_there(inboxes, program, "maria", 3)
    token = (await listed(inboxes, program, "maria", page_size=2)).next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(inboxes, program, "olga", page_size=2, page_token=token)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_marking_read(inboxes: Inboxes, publish: Publish, new_program_id: NewProgram) -> None:
    program = new_program_id("mark")
    await publish(*(reward_event(program, [earning("maria", 1, 1), earning("olga", 2, 1)]) for _ in range(5)))
    entries = await when_there(inboxes, program, "maria", 5)
    request = marking(program, entries[2].entry_id, "1")
    for _ in range(2):
        assert (await inboxes.MarkInboxRead(request, timeout=DEADLINE_SECONDS)).marked_count == 3
    again = marking(program, entries[2].entry_id, "2")
    assert (await inboxes.MarkInboxRead(again, timeout=DEADLINE_SECONDS)).marked_count == 0
    answer = await listed(inboxes, program, "maria")
    assert [each.read for each in answer.entries] == [False, False, True, True, True]
    assert answer.unread_count == 2
    unread = await listed(inboxes, program, "maria", unread_only=True)
    assert [each.entry_id for each in unread.entries] == [each.entry_id for each in entries[:2]]
    assert (await listed(inboxes, program, "olga")).unread_count == 5


async def test_what_is_not_read_is_looked_for_so_far(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = new_program_id("far")
    await publish(*(reward_event(program, [earning("maria", 1, 1)]) for _ in range(9)))
    entries = await when_there(inboxes, program, "maria", 9)
    await inboxes.MarkInboxRead(marking(program, entries[1].entry_id, "1"), timeout=DEADLINE_SECONDS)
    await publish(reward_event(program, [earning("maria", 1, 1)]))
    newest = (await when_there(inboxes, program, "maria", 10))[0]
    wanted = [newest.entry_id, entries[0].entry_id]
    for most, counted, is_lower_bound in ((11, 2, False), (10, 2, True), (4, 2, True), (1, 1, True)):
        monkeypatch.setattr(entry_store, "MAX_LOOKED_AT", most)
        answer = await listed(inboxes, program, "maria")
        assert (answer.unread_count, answer.unread_count_is_lower_bound) == (counted, is_lower_bound)
        for page_size in (1, 2, 5):
            found, token = list[str](), ""
            while True:
                page = await listed(inboxes, program, "maria", unread_only=True, page_size=page_size, page_token=token)
                found += [each.entry_id for each in page.entries]
                if not (token := page.next_page_token):
                    break
            assert found == wanted


async def test_a_long_inbox_that_was_read_costs_a_page(
    inboxes: Inboxes,
    notify: Running,
    servers: Servers,
    new_program_id: NewProgram,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entry_store, "MAX_LOOKED_AT", 1_000)
    program = new_program_id("long")
    with psycopg.connect(servers.postgres.url, autocommit=True) as sql:
        sql.execute(
            """WITH new AS (
                INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id,
                    occurred_at, assets, texts_version, create_time)
                SELECT gen_random_uuid(), %s, 'event-' || n, 'order-' || n, 'order', 'vera', now(),
                    '[["points", false, 0]]', 0, now()
                FROM generate_series(1, 20000) AS n RETURNING entry_id, program_id
            )
            INSERT INTO notify.inbox_entry (program_id, participant_id, entry_id, kind, level, amounts, read)
            SELECT program_id, 'maria', entry_id, 1, 1, '[["points", 100, 0]]', true FROM new""",
            [program],
        )
        sql.execute("ANALYZE notify.inbox_entry, notify.cause")
    try:
        for unread_only in (False, True):
            async with touching(notify, servers.postgres.url) as touched:
                answer = await listed(inboxes, program, "maria", unread_only=unread_only)
            assert touched.rows < 10_000
            assert answer.unread_count == 0
    finally:  # other tests go through all blocks of the tables
        with psycopg.connect(servers.postgres.url, autocommit=True) as sql:
            for table in ("inbox_entry", "cause"):
                sql.execute(f"DELETE FROM notify.{table} WHERE program_id = %s".encode(), [program])
            sql.execute("VACUUM notify.inbox_entry, notify.cause")


async def test_a_forged_entry_id_is_refused(inboxes: Inboxes, new_program_id: NewProgram) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await inboxes.MarkInboxRead(marking(new_program_id("forged"), "zzz", "1"), timeout=DEADLINE_SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "up_to_entry_id" in (caught.value.details() or "")


async def test_a_call_without_a_deadline_is_refused(inboxes: Inboxes, new_program_id: NewProgram) -> None:
    request = notify_pb2.ListInboxRequest(program_id=new_program_id("deadline"), participant_id="maria")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await inboxes.ListInbox(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "deadline" in (caught.value.details() or "")
