"""Everything at once, from two instances of the service."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import grpc
from upline.attribution.v1 import participant_pb2

from tests.integration.attribution.people import TIMEOUT, Caller, order, request_id, rubles
from tests.running import Running

Program = Callable[..., Awaitable[Caller]]
EXPECTED = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS}
"""The answers that a lost race may get: bound already, nothing left, enrolled with other data."""


async def test_enrolments_binds_purchases_and_refunds_at_once(program: Program, second_attribution: Running) -> None:
    caller = await program()
    callers = (caller, Caller(second_attribution, caller.program_id))
    names = [f"p{i}" for i in range(40)]
    for name in names[:10]:
        await caller.enroll(name)
    codes = [await caller.code(name) for name in names[:10]]
    chance = random.Random(7)

    def step(number: int) -> Awaitable[object]:
        who = callers[number % 2]
        match chance.randrange(4):
            case 0:
                drafts = [
                    participant_pb2.ParticipantDraft(
                        participant_id=name, code=chance.choice(codes), record_sign_up=True
                    )
                    for name in chance.sample(names[10:], 8)
                ]
                return who.people.EnrollParticipants(
                    participant_pb2.EnrollParticipantsRequest(
                        request_id=request_id(), program_id=caller.program_id, participants=drafts
                    ),
                    timeout=TIMEOUT,
                )
            case 1:
                return who.bind(*chance.sample(names[:10], 2))
            case 2:
                orders = [
                    order(f"o{chance.randrange(300)}", chance.choice(names), code=chance.choice(codes))
                    for _ in range(12)
                ]
                return who.record_all(list({each.conversion_id: each for each in orders}.values()))
            case _:
                return who.reverse(f"r{number}", f"o{chance.randrange(300)}", amount=rubles(4_000))

    for first in range(0, 160, 16):
        results = await asyncio.gather(*(step(first + i) for i in range(16)), return_exceptions=True)
        failures = [each for each in results if isinstance(each, BaseException)]
        assert {each.code() for each in failures if isinstance(each, grpc.aio.AioRpcError)} <= EXPECTED
        assert all(isinstance(each, grpc.aio.AioRpcError) for each in failures)

    await caller.record_all([order(f"last-{name}", name) for name in names])
    sponsors = {name: (await caller.get(name)).binding.sponsor_id for name in names}
    for name in sponsors:
        upline = await caller.upline(name)
        assert len(set(upline)) == len(upline)
        assert name not in upline
        assert upline == true_upline(sponsors, name)

    events = await caller.events()
    assert len({each.event_id for each in events}) == len(events)
    for event in events:
        if event.HasField("recorded"):
            conversion = event.recorded.conversion
            upline = [each.participant_id for each in event.recorded.upline]
            assert upline[:1] == ([conversion.attribution.referrer_id] if conversion.attribution.referrer_id else [])
            assert upline == ([upline[0], *true_upline(sponsors, upline[0])][: len(upline)] if upline else [])
            stored = await caller.conversion(conversion.draft.conversion_id)
            assert not any(each.pending for each in stored.reversals)
            assert stored.reversed_minor == sum(each.amount_minor for each in stored.reversals)


def true_upline(sponsors: dict[str, str], name: str) -> list[str]:
    """Follows the sponsors one by one."""
    found = []
    while name := sponsors.get(name, ""):
        found.append(name)
    return found
