"""A stack of a scenario's own: real servers and services, thrown away at the end, whose clock stands until it is moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from chassis.embedded.state import StateDirectory
from chassis.file_clock import ClockFile
from cli.client import Addresses
from cli.output import err
from cli.stack.layout import External, ephemeral


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenarios are played."""

    addresses: Addresses
    clock: ClockFile
    database_url: str
    nats_url: str


@contextmanager
def staged(start: datetime) -> Iterator[Stage]:
    """A stack in a directory that goes with it. Environment variables that name servers do not matter."""
    from cli.stack.supervisor import Stack  # and the migrations with it: checking a file needs neither

    with TemporaryDirectory(prefix="upline-scenario-") as folder:
        clock = ClockFile(Path(folder) / "clock", start)
        state = StateDirectory(Path(folder) / "state")
        try:
            with err.status("starting a stack of the scenario's own") as status:
                stack = Stack(state, ephemeral(External()), status.update, test_clock_file=clock.file)
                stack.start()
            try:
                yield Stage(Addresses(**stack.layout.addresses()), clock, *stack.servers())
            finally:
                stack.stop()
        finally:
            state.close()
