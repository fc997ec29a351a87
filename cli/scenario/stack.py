"""A stack of a scenario's own: real servers and services, thrown away at the end, whose clock stands until moved."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from chassis.embedded.state import StateDirectory
from chassis.file_clock import ClockFile
from cli.client import Addresses
from cli.errors import USAGE, CommandFailed
from cli.output import err
from cli.stack.layout import ExternalServers, ephemeral_layout


@dataclass(frozen=True, slots=True)
class ScenarioStack:
    """The addresses, clock and servers of the stack on which scenarios are played."""

    addresses: Addresses
    clock: ClockFile
    database_url: str
    nats_url: str


@contextmanager
def run_stack(start: datetime, keep: Path | None) -> Iterator[ScenarioStack]:
    """A stack in a directory of its own, which goes with it unless `keep` names it. Environment variables that name
    servers do not matter. Raises CommandFailed if the directory is in use already."""
    from cli.stack.supervisor import Stack  # here, as it brings the migrations, which checking a file does not need

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandFailed(f"{keep} is not empty: a scenario begins with nothing", USAGE)
    with TemporaryDirectory(prefix="upline-scenario-") if keep is None else nullcontext(str(keep)) as folder:
        state = StateDirectory(Path(folder))
        clock = ClockFile(state.path / "clock", start)
        try:
            with err.status("starting a stack of the scenario's own") as status:
                stack = Stack(state, ephemeral_layout(ExternalServers()), status.update, test_clock_file=clock.file)
                stack.start()
            try:
                yield ScenarioStack(
                    Addresses(**stack.layout.addresses()), clock, stack.servers.database_url, stack.servers.nats_url
                )
            finally:
                stack.stop()
        finally:
            state.close()
