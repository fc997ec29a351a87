"""PostgreSQL and NATS for a bench run, with fsync on as in production, in a directory that goes with it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from chassis.embedded.nats import Nats
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from chassis.migrate import migrate, role_name

ROLE_PASSWORD = "bench"
SECRET = "bench-secret-bench-secret-bench-secret"
SERVICES = ["attribution", "rewards", "notify"]


@dataclass(frozen=True)
class Servers:
    """The servers of a bench run."""

    postgres: Postgres
    nats: Nats

    def database(self, name: str) -> str:
        """Makes a fresh database with every service's tables; returns its owner's URL."""
        with psycopg.connect(self.postgres.url, autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{name}"'.encode())
        url = make_url(self.postgres.url).set(database=name).render_as_string(hide_password=False)
        migrate(url, SERVICES, ROLE_PASSWORD)
        return url

    def environment(self, database_url: str, service: str) -> dict[str, str]:
        """Settings of a service process."""
        return {
            "UPLINE_DATABASE_URL": service_url(database_url, service),
            "UPLINE_NATS_URL": self.nats.url,
            "UPLINE_SECRET": SECRET,
            "UPLINE_LOG_LEVEL": "warning",
        }


def service_url(database_url: str, service: str) -> str:
    """The URL with the service's own role."""
    url = make_url(database_url).set(username=role_name(service), password=ROLE_PASSWORD)
    return url.render_as_string(hide_password=False)


@contextmanager
def servers() -> Iterator[Servers]:
    """Runs both servers for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="upline-bench-"))
    state = StateDirectory(folder)
    postgres, nats = Postgres(state), Nats(state)
    try:
        postgres.start()
        nats.start()
        yield Servers(postgres, nats)
    finally:
        nats.stop()
        postgres.stop()
        state.close()
        shutil.rmtree(folder, ignore_errors=True)
