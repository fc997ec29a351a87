"""The pages of an inbox, its unread counts and its marks."""

from collections.abc import Callable

import grpc
import pytest
from upline.notify.v1 import notify_pb2, notify_pb2_grpc

from tests.integration.notify.conftest import Publish, earning, listed, reward_event, when_there
from tests.running import DEADLINE_SECONDS

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
