"""How a service process that dies is started again."""

from pathlib import Path

from cli.stack.services import (
    FAILING_DEATHS,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    TAIL_BYTES,
    ServiceProcess,
)


def process(log: Path) -> ServiceProcess:
    return ServiceProcess("rewards", "rewards", log, {}, ())


def test_pauses_grow_up_to_the_longest_however_often_it_dies(tmp_path: Path) -> None:
    dying = process(tmp_path / "log")
    pauses = [dying.note_death(0.0, "ended with code 1") for _ in range(3_000)]
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS == max(pauses)
    assert dying.next_start == LONGEST_PAUSE_SECONDS


def test_it_is_said_to_keep_dying_after_some_deaths(tmp_path: Path) -> None:
    dying = process(tmp_path / "log")
    for number in range(1, FAILING_DEATHS + 1):
        dying.note_death(0.0, "was killed by signal 9")
        assert dying.keeps_dying == (number == FAILING_DEATHS)
    assert not dying.is_well_again(1_000.0)


def test_of_its_log_the_end_is_read_whatever_its_size(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "cannot be read" in process(log).log_tail()
    log.write_text("x" * 10 * TAIL_BYTES + "\none\ntwo\n")
    assert process(log).log_tail(2) == "one\ntwo"
    assert len(process(log).log_tail()) <= TAIL_BYTES
