"""A pipeline: writing in order, not too far behind what is made, and never after an error."""

import asyncio

import pytest

from chassis.pipeline import Pipeline


class Bench:
    """Makes numbers and writes them; a write ends when it is allowed to."""

    def __init__(self, count: int, broken: int = -1, unmakeable: int = -1) -> None:
        self.made: list[int] = []
        self.begun: list[int] = []
        self.written: list[int] = []
        self.allowed = asyncio.Event()
        self._count, self._broken, self._unmakeable = count, broken, unmakeable

    async def work(self, ahead: int) -> None:
        """Makes all numbers, with a turn of the loop between them, and has them written."""
        async with Pipeline(self.write, ahead) as pipeline:
            for number in range(self._count):
                if number == self._unmakeable:
                    raise LookupError(number)
                self.made.append(number)
                await pipeline.put(number)
                await asyncio.sleep(0)

    async def write(self, part: int) -> None:
        """Writes one number."""
        self.begun.append(part)
        await self.allowed.wait()
        if part == self._broken:
            raise ValueError(part)
        self.written.append(part)


async def settled(bench: Bench) -> None:
    """Waits until nothing moves any more."""
    before = None
    while before != (before := (len(bench.made), len(bench.begun))):
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.mark.parametrize("ahead", [1, 2, 5])
async def test_parts_are_made_ahead_and_written_in_order(ahead: int) -> None:
    bench = Bench(20)
    work = asyncio.create_task(bench.work(ahead))
    await settled(bench)
    assert bench.made == list(range(ahead + 1))
    assert bench.begun == [0]
    bench.allowed.set()
    await work
    assert bench.written == list(range(20))


async def test_nothing_is_nothing() -> None:
    await Bench(0).work(1)


async def test_nothing_is_written_after_an_error() -> None:
    bench = Bench(20, broken=3)
    bench.allowed.set()
    with pytest.raises(ValueError, match="3"):
        await bench.work(2)
    assert (bench.begun, bench.written) == ([0, 1, 2, 3], [0, 1, 2])


async def test_what_was_made_is_written_before_an_error_of_making_is_told() -> None:
    bench = Bench(20, unmakeable=2)
    work = asyncio.create_task(bench.work(5))
    await settled(bench)
    assert not work.done()  # a write is still under way
    bench.allowed.set()
    with pytest.raises(LookupError):
        await work
    assert bench.written == [0, 1]
