"""When the work of a consumer is said to stand still."""

import asyncio

import pytest

from chassis.progress import FAILING_MESSAGES, Progress


class Looks:
    """Looks at a consumer, ten seconds after one another."""

    def __init__(self, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
        self.progress = progress
        self._now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    def look(self, undelivered: int = 0, delivered: int = 0) -> float:
        """How long work waits of which nothing gets done."""
        self._now += 10.0
        return self.progress.stalled_seconds(undelivered, delivered)


@pytest.fixture
async def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(Progress(), monkeypatch)


async def test_where_nothing_waits_nothing_stands_still(looks: Looks) -> None:
    assert [looks.look() for _ in range(3)] == [0, 0, 0]


async def test_what_is_in_hand_and_never_done_stands_still(looks: Looks) -> None:
    looks.progress.in_hand = 3
    assert [looks.look() for _ in range(3)] == [0, 10, 20]
    looks.progress.made()
    assert [looks.look() for _ in range(2)] == [0, 10]
    looks.progress.in_hand = 0
    assert looks.look() == 0


async def test_a_long_batch_that_commits_now_and_then_does_not_stand_still(looks: Looks) -> None:
    looks.progress.in_hand = 64
    seen = []
    for _ in range(10):
        seen.append(looks.look(undelivered=1_000))
        looks.progress.made()
    assert set(seen) == {0}


async def test_messages_that_nobody_is_given_stand_still(looks: Looks) -> None:
    assert [looks.look(undelivered=5, delivered=7) for _ in range(4)] == [0, 0, 10, 20]


async def test_messages_that_others_are_given_wait_for_those(looks: Looks) -> None:
    assert [looks.look(undelivered=5, delivered=number) for number in range(5)] == [0] * 5


async def test_one_message_that_fails_again_and_again_is_no_standstill(looks: Looks) -> None:
    for _ in range(20):
        looks.progress.failed("the same one")
        assert looks.look() == 0


async def test_whatever_comes_fails_is_a_standstill(looks: Looks) -> None:
    for number in range(2 * FAILING_MESSAGES):
        looks.progress.failed(f"message {number}")
    assert [looks.look() for _ in range(3)] == [0, 10, 20]
    looks.progress.made()
    assert looks.look() == 0
