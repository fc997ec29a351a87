"""Free ports: nobody else gets one between the moment it is found and the moment somebody listens there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.embedded import state
from chassis.embedded.state import FIRST_FREE_PORT, free_port


@pytest.fixture
def system_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file in which the system says which ports are its own, as the test writes it."""
    file = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(state, "SYSTEMS_OWN_PORTS", file)
    state._ports.cache_clear()
    yield file
    state._ports.cache_clear()


def test_a_free_port_is_none_of_the_systems_own(system_has: Path) -> None:
    system_has.write_text(f"{FIRST_FREE_PORT + 500}\t60999\n")
    assert all(FIRST_FREE_PORT <= free_port() < FIRST_FREE_PORT + 500 for _ in range(100))


def test_no_port_is_given_twice_in_a_row(system_has: Path) -> None:
    system_has.write_text(f"{FIRST_FREE_PORT + 500}\t60999\n")
    assert len({free_port() for _ in range(100)}) == 100


def test_a_port_that_is_taken_is_passed_over(system_has: Path) -> None:
    system_has.write_text(f"{FIRST_FREE_PORT + 500}\t60999\n")
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        assert port not in {free_port() for _ in range(600)}


@pytest.mark.parametrize("says", [None, "1024\t65535\n", f"{FIRST_FREE_PORT + 1}\t65535\n"])
def test_where_nearly_all_ports_are_the_systems_own_it_is_one_of_those(system_has: Path, says: str | None) -> None:
    if says:
        system_has.write_text(says)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
        assert probe.getsockname()[1] != FIRST_FREE_PORT
