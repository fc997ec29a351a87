"""Every process killed once, under load: nothing is lost, nothing is paid twice, everybody is told once.

The long version is a command: `python -m tests.faults.chaos --rounds 20`.
"""

from pathlib import Path

from tests.e2e.stacks import up
from tests.faults.chaos import run
from tests.faults.killing import COMPONENTS

SEED = 7
PAUSE_SECONDS = (0.5, 1.5)


async def test_nothing_is_lost_or_paid_twice_when_every_process_is_killed(tmp_path: Path) -> None:
    with up(tmp_path / "state", "--workers", "2") as stack:
        summary = await run(stack, SEED, len(COMPONENTS), PAUSE_SECONDS)
    assert summary.wrong == []
    assert {each.component for each in summary.rounds} == set(COMPONENTS)
    # The load went on: there was something to lose.
    assert summary.figures["clicks_acknowledged"] > 100
    assert summary.figures["conversions_acknowledged"] > 100
    assert summary.figures["reversals_acknowledged"] > 20
    assert sum(count for call, count in summary.calls.items() if call.endswith("UNAVAILABLE")) > 0
