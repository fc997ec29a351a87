"""The database that is backed up or restored: a server of one's own, or the one in a state directory."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.database import driver_url
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory, running_stack
from cli.connection import StackChoice, open_database
from cli.errors import USAGE, CommandFailed
from cli.stack.layout import ExternalServers


@dataclass(frozen=True, slots=True)
class BackupDatabase:
    """A database and what belongs to it."""

    url: str
    """The database's URL, with its owner's name and password."""
    role_password: str
    secret: str
    """The secret of the installation; empty where it is not known."""


@contextmanager
def open_source(state: Path) -> Iterator[BackupDatabase]:
    """The database to keep: external, of the running stack, or of a stack that is stopped. Raises CommandFailed."""
    external = ExternalServers.from_environment()
    if external.database_url:
        yield _external(external)
    elif running_stack(state):
        with open_database(StackChoice(state)) as url:
            secrets = json.loads((state / "secrets.json").read_text())
            yield BackupDatabase(url, secrets["role_password"], secrets["secret"])
    elif (state / "postgres" / "PG_VERSION").exists():
        with _embedded(state) as database:
            yield database
    else:
        raise CommandFailed(
            f"there is no stack on {state}: name another with --state, or set UPLINE_DATABASE_URL", USAGE
        )


@contextmanager
def open_target(state: Path) -> Iterator[BackupDatabase]:
    """The database to restore into: external, or that of a stack that does not run. Raises CommandFailed."""
    external = ExternalServers.from_environment()
    if external.database_url:
        if not external.role_password:
            raise CommandFailed(
                "with UPLINE_DATABASE_URL, set UPLINE_ROLE_PASSWORD too: the services' roles get it", USAGE
            )
        yield _external(external)
    elif running_stack(state):
        raise CommandFailed(f"a stack runs on {state}: stop it first, or restore into another directory with --state")
    else:
        with _embedded(state) as database:
            yield database


def _external(external: ExternalServers) -> BackupDatabase:
    url = driver_url(external.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return BackupDatabase(url, external.role_password, os.environ.get("UPLINE_SECRET", ""))


@contextmanager
def _embedded(state: Path) -> Iterator[BackupDatabase]:
    """The PostgreSQL of a state directory, for this process alone, for as long as the context lasts."""
    directory = StateDirectory(state)
    try:
        server = Postgres(directory)
        try:
            server.start()
            secrets = directory.secrets()
            yield BackupDatabase(server.url, secrets.role_password, secrets.secret)
        finally:
            server.stop()
    finally:
        directory.close()
