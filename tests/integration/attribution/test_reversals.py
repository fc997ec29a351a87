"""Taking conversions back."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from upline.attribution.v1 import conversion_pb2

from tests.integration.attribution.people import TIMEOUT, Caller, order, refused, rubles
from tests.running import Running

Program = Callable[..., Awaitable[Caller]]
CODE = grpc.StatusCode
LINE = conversion_pb2.ConversionLine


def by_line(**amounts: int) -> dict[str, conversion_pb2.LineReversals]:
    """The extent of a reversal that goes by lines."""
    lines = [conversion_pb2.LineReversal(line_id=line_id, amount_minor=each) for line_id, each in amounts.items()]
    return {"lines": conversion_pb2.LineReversals(lines=lines)}


def parts(reversal: conversion_pb2.Reversal) -> dict[str, int]:
    """The amounts of a reversal by line."""
    return {each.line_id: each.amount_minor for each in reversal.lines}


async def test_a_conversion_is_taken_back_part_by_part(program: Program) -> None:
    caller = await program()
    await caller.record(
        order("1", "vera", 100, lines=[LINE(line_id="a", amount_minor=70), LINE(line_id="b", amount_minor=30)])
    )
    first = await caller.reverse("r1", "1", amount=rubles(33))
    assert (first.amount_minor, parts(first), first.completes) == (33, {"a": 23, "b": 10}, False)
    second = await caller.reverse("r2", "1", **by_line(b=20))
    assert (second.amount_minor, second.completes) == (20, False)
    for extent, field in [
        ({"amount": rubles(48)}, "reversal.amount.amount_minor"),
        (by_line(b=1), "reversal.lines.lines[0].amount_minor"),
        (by_line(a=1, c=1), "reversal.lines.lines[1].line_id"),
    ]:
        async with refused() as told:
            await caller.reverse("bad", "1", **extent)
        assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, [field])
    rest = await caller.reverse("r3", "1")
    assert (rest.amount_minor, parts(rest), rest.completes) == (47, {"a": 47}, True)
    async with refused() as told:
        await caller.reverse("r4", "1")
    assert told[0].fields == ["reversal.whole"]
    stored = await caller.conversion("1")
    assert (stored.reversed_minor, stored.reversed) == (100, True)
    assert list(stored.reversals) == [first, second, rest]
    events = await caller.events()
    assert [each.event_id for each in events[1:]] == [f"reversal:{caller.program_id}/r{i}" for i in (1, 2, 3)]
    assert [each.reversed.reversal for each in events[1:]] == [first, second, rest]


@pytest.mark.parametrize(
    ("extent", "field"),
    [
        ({"amount": rubles(0)}, "reversal.amount.amount_minor"),
        ({"amount": rubles(-1)}, "reversal.amount.amount_minor"),
        ({"amount": {"currency_code": "USD", "amount_minor": 1}}, "reversal.amount.currency_code"),
        ({"amount": {"currency_code": "ZZZ", "amount_minor": 1}}, "reversal.amount.currency_code"),
        ({"amount": rubles(1)}, "reversal.amount.amount_minor"),
        (by_line(a=1), "reversal.lines.lines[0].line_id"),
    ],
)
async def test_bad_reversal_of_an_event_without_value(program: Program, extent: dict[str, object], field: str) -> None:
    caller = await program()
    await caller.record(order("1", "vera", 0))
    async with refused() as told:
        await caller.reverse("r", "1", **extent)
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, [field])
    assert (await caller.reverse("r", "1")).completes


async def test_same_reversal_again(program: Program) -> None:
    caller = await program()
    await caller.record(order("1", "vera", 100))
    first = await caller.reverse("r", "1", amount=rubles(60))
    assert await caller.reverse("r", "1", amount=rubles(60)) == first
    async with refused() as told:
        await caller.reverse("r", "1", amount=rubles(61))
    assert (told[0].code, told[0].fields) == (CODE.ALREADY_EXISTS, ["reversal.reversal_id"])
    assert (await caller.conversion("1")).reversed_minor == 60


async def test_reversals_wait_for_their_conversion(program: Program) -> None:
    caller = await program()
    early = await caller.reverse("r1", "1", amount=rubles(70))
    assert (early.pending, early.amount_minor) == (True, 0)
    assert (await caller.reverse("r2", "1", amount=rubles(70))).pending
    assert (await caller.reverse("r3", "1")).pending
    assert not await caller.events()
    await caller.record(order("1", "vera", 100))
    stored = await caller.conversion("1")
    assert [(each.amount_minor, each.completes, each.pending) for each in stored.reversals] == [
        (70, False, False),
        (30, True, False),
        (0, False, False),
    ]
    assert (stored.reversed_minor, stored.reversed) == (100, True)
    events = await caller.events()
    assert [each.event_id.split("/")[1] for each in events] == ["1", "r1", "r2"]
    assert not any(each.reversed.reversal.pending for each in events)


async def test_early_reversals_and_their_conversions_at_once(program: Program, second_attribution: Running) -> None:
    """Whichever comes first, nothing waits for ever and nothing is taken twice."""
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    for turn in range(30):
        conversion_id = f"c{turn}"
        await asyncio.gather(caller.record(order(conversion_id, "vera", 100)), other.reverse(f"r{turn}", conversion_id))
        stored = await caller.conversion(conversion_id)
        assert (stored.reversed, stored.reversed_minor) == (True, 100)
        assert not stored.reversals[0].pending
    assert len(await caller.events()) == 60


async def test_refunds_at_once_never_exceed_what_is_left(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    await caller.record(order("1", "vera", 100))
    results = await asyncio.gather(
        *(
            each.reverse(f"r{i}-{n}", "1", amount=rubles(30))
            for i in range(4)
            for n, each in enumerate((caller, other))
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, conversion_pb2.Reversal) for each in results) == 3
    assert (await caller.conversion("1")).reversed_minor == 90


async def test_a_batch_applies_in_its_order_or_not_at_all(program: Program) -> None:
    caller = await program()
    await caller.record_all([order(str(i), "vera", 100) for i in range(2)])

    def draft(reversal_id: str, conversion_id: str, amount_minor: int) -> conversion_pb2.ReversalDraft:
        return conversion_pb2.ReversalDraft(
            reversal_id=reversal_id, conversion_id=conversion_id, amount=rubles(amount_minor)
        )

    async def reverse(*drafts: conversion_pb2.ReversalDraft) -> conversion_pb2.ReverseConversionsResponse:
        return await caller.conversions.ReverseConversions(
            conversion_pb2.ReverseConversionsRequest(program_id=caller.program_id, reversals=drafts), timeout=TIMEOUT
        )

    async with refused() as told:
        await reverse(draft("a", "0", 60), draft("b", "1", 100), draft("c", "0", 41))
    assert told[0].fields == ["reversals[2].amount.amount_minor"]
    answer = await reverse(draft("a", "0", 60), draft("b", "1", 100), draft("c", "0", 40), draft("a", "0", 60))
    assert (answer.recorded_count, answer.existing_count) == (3, 1)
    assert [(await caller.conversion(each)).reversed for each in "01"] == [True, True]
