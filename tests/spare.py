"""Servers besides the suite's: for tests of what belongs to a whole server, such as roles, and of data from
elsewhere."""

import gzip
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from chassis.embedded.nats import Nats
from chassis.embedded.postgres import Postgres, binaries
from chassis.embedded.state import StateDirectory
from tests.conftest import Servers


@contextmanager
def spare_servers(folder: Path) -> Iterator[Servers]:
    """A PostgreSQL without a table or a role, and a NATS without a stream."""
    state = StateDirectory(folder)
    postgres, nats = Postgres(state), Nats(state)
    postgres.start()
    nats.start()
    try:
        yield Servers(postgres, nats)
    finally:
        nats.stop()
        postgres.stop()
        state.close()


def program(name: str, url: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """Runs a client program of PostgreSQL against a database; what it says."""
    target = make_url(url)
    where = f"host={target.host} port={target.port} user={target.username} dbname={target.database}"
    result = subprocess.run(
        [str(binaries() / name), "--dbname", where, *arguments],
        env=os.environ | {"PGPASSWORD": target.password or ""},
        input=stdin,
        capture_output=True,
        check=False,
    )
    if result.returncode != 0:
        raise AssertionError(f"{name}: {result.stderr.decode()}")
    return result.stdout


def load_sql(url: str, file: Path) -> None:
    """Runs a packed script of SQL in a database, as its owner."""
    program("psql", url, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", stdin=gzip.decompress(file.read_bytes()))
