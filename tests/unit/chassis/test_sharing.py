"""Work that several ask for at once is done once."""

import asyncio

import pytest

from chassis.sharing import Shared


class Work:
    """Work that goes on until it is let go; it counts how often it was begun, and how often given up."""

    def __init__(self) -> None:
        self.begun = 0
        self.given_up = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # as a rollback takes a while
            self.given_up += 1
            raise
        if self.error:
            raise self.error
        return number


async def turns() -> None:
    """Lets everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_get_the_result_of_one_and_who_comes_later_one_of_their_own() -> None:
    shared, work = Shared[str, int](), Work()
    tasks = [asyncio.create_task(shared.do("all", work)) for _ in range(3)]
    await turns()
    other = asyncio.create_task(shared.do("one", work))
    await turns()
    work.go_on.set()
    assert await asyncio.gather(*tasks, other) == [1, 1, 1, 2]
    assert await shared.do("all", work) == 3


async def test_all_are_told_the_error() -> None:
    shared, work = Shared[str, int](), Work()
    work.error = ValueError("wrong")
    tasks = [asyncio.create_task(shared.do("all", work)) for _ in range(2)]
    await turns()
    work.go_on.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [work.error] * 2
    work.error = None
    assert await shared.do("all", work) == 2


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    shared, work = Shared[str, int](), Work()
    first, second = (asyncio.create_task(shared.do("all", work)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (first.cancelled(), work.given_up) == (True, 0)
    work.go_on.set()
    assert await second == 1


async def test_work_for_which_nobody_waits_is_given_up_and_over() -> None:
    shared, work = Shared[str, int](), Work()
    tasks = [asyncio.create_task(shared.do("all", work)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert work.given_up == 1
    work.go_on.set()
    assert await shared.do("all", work) == 2
