"""A broker that does not store is started again where that can help, and not too often."""

from itertools import pairwise

from cli.stack.broker_care import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LOOK_SECONDS,
    MIN_FREE_BYTES,
    UNWELL_SECONDS,
    BrokerCare,
)

FULL = "stream CLICKS write error: no space left on device"


def restarts(
    care: BrokerCare, seconds: float, ailment: str, free_bytes: int = MIN_FREE_BYTES, started: float = 0.0
) -> list[float]:
    """The times at which the broker is started again within so many seconds. A start takes no time, and the broker is
    well for one look after it."""
    found = []
    well = True
    now = started
    while now < started + seconds:
        if care.begin_look(now):
            if care.needs_restart(now, "" if well else ailment, free_bytes):
                found.append(now)
                care.note_start()
                well = True
            else:
                well = False
        now += 0.5
    return found


def test_it_is_started_again_once_it_has_said_so_for_a_while() -> None:
    first, *_ = restarts(BrokerCare(), 60.0, FULL)
    assert UNWELL_SECONDS <= first <= UNWELL_SECONDS + 2 * LOOK_SECONDS


def test_a_broker_that_is_well_or_has_no_space_is_left_alone() -> None:
    assert restarts(BrokerCare(), 600.0, "") == []
    assert restarts(BrokerCare(), 600.0, FULL, MIN_FREE_BYTES - 1) == []


def test_one_that_was_not_well_since_it_started_is_left_alone() -> None:
    care = BrokerCare()
    assert not any(care.needs_restart(float(now), "still reading its streams", MIN_FREE_BYTES) for now in range(600))


def test_one_that_met_a_full_disk_before_anybody_looked_is_started_again() -> None:
    care = BrokerCare()
    assert any(care.needs_restart(float(now), FULL, MIN_FREE_BYTES) for now in range(60))


def test_what_restarts_do_not_mend_is_restarted_less_and_less() -> None:
    found = restarts(BrokerCare(), 3_600.0, FULL)
    pauses = [later - earlier for earlier, later in pairwise(found)]
    assert FIRST_PAUSE_SECONDS <= pauses[0] <= FIRST_PAUSE_SECONDS + 2 * LOOK_SECONDS
    assert pauses == sorted(pauses)
    assert LONGEST_PAUSE_SECONDS <= pauses[-1] <= LONGEST_PAUSE_SECONDS + 2 * LOOK_SECONDS
