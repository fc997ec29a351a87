"""Work that takes the processor gives way to everything else."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from chassis import pacing
from chassis.loop_lag import watch_loop
from chassis.pacing import Beside, in_turns
from chassis.telemetry import LOOP_LAG_SECONDS

PATIENCE_SECONDS = 10.0
"""Far more than anything here takes that does not wait."""


def passing(count: int, seconds: float, now: list[float]) -> Iterator[int]:
    """Steps that each take so long by the clock that the test holds."""
    for number in range(count):
        now[0] += seconds
        yield number


async def test_others_get_their_turn_after_each_of_its_turns(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    now = [0.0]
    monkeypatch.setattr(pacing, "perf_counter", lambda: now[0])
    others, turns = 0, 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    async for _ in in_turns(passing(100, pacing.TURN_SECONDS / 4, now)):
        turns += 1
    beside.cancel()
    assert turns == 26  # four steps each, and the look that finds no more
    assert others >= 25


async def test_steps_beside_the_loop_are_all_taken_in_their_order_in_one_thread() -> None:
    taken: list[tuple[int, int]] = []

    def steps() -> Iterator[None]:
        for number in range(5):
            taken.append((number, threading.get_ident()))
            yield

    async for _ in Beside("test").in_turns(steps()):
        pass
    assert [number for number, _ in taken] == list(range(5))
    assert {thread for _, thread in taken} != {threading.get_ident()}
    assert len({thread for _, thread in taken}) == 1


async def test_what_others_wait_for_stands_behind_nothing_that_nobody_waits_for() -> None:
    beside, gate, done = Beside("test"), threading.Event(), list[str]()

    def work(name: str) -> None:
        done.append(name)

    ahead = [asyncio.ensure_future(beside.run(gate.wait, 2 * PATIENCE_SECONDS)) for _ in range(3)]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await beside.run_without_rests(work, "behind a lock")
            async for _ in beside.in_turns(map(work, ["in turns behind it"]), rests=False):
                pass
        assert done == ["behind a lock", "in turns behind it"]
        assert not any(each.done() for each in ahead)
    finally:
        gate.set()
        await asyncio.gather(*ahead)


async def test_a_loop_that_is_held_is_seen() -> None:
    def sums() -> float:
        return sum(each.value for each in next(iter(LOOP_LAG_SECONDS.collect())).samples if each.name.endswith("_sum"))

    watching = asyncio.create_task(watch_loop())
    await asyncio.sleep(0)
    before = sums()
    threading.Event().wait(0.2)
    await asyncio.sleep(0.05)
    watching.cancel()
    assert sums() - before > 0.1


async def test_work_beside_the_loop_rests_for_as_long_as_it_computes(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    now, rests = [0.0], list[float]()
    monkeypatch.setattr(pacing, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pacing, "sleep", rests.append)

    def work() -> None:
        for seconds in (pacing.TURN_SECONDS / 2, pacing.TURN_SECONDS, 0.02):
            now[0] += seconds
            pacing.give_way()

    work()
    assert not rests, "the event loop must not rest"
    await Beside("test").run(work)
    assert rests == pytest.approx([1.5 * pacing.TURN_SECONDS, 0.02])
    rests.clear()
    await Beside("test").run_without_rests(work)
    async for _ in Beside("test").in_turns((work() for _ in range(2)), rests=False):
        pass
    assert not rests, "others wait for it"
