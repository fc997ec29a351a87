"""PostgreSQL: SQLAlchemy Core for statements, the psycopg connection beneath it for COPY."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, TransactionStatus
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from chassis.lost_sessions import Connect, end_session

LOCK_TIMEOUT_MS = 5_000
"""A longer wait for a lock is a fault that the caller is told, rather than a pile of waiting calls."""
STATEMENT_TIMEOUT_MS = 60_000
IDLE_TRANSACTION_TIMEOUT_MS = 60_000
CONNECT_SECONDS = 10
"""The longest wait for a new connection, and for word whether one of before is alive."""
LATE_SECONDS = 10.0
"""How much longer than a statement may take its answer is waited for."""
SILENCE_SECONDS = STATEMENT_TIMEOUT_MS / 1000 + LATE_SECONDS
"""The longest wait for an answer. The server ends a statement before that, so an answer that has not come by then never
comes: the connection is half open, as after the loss of a network or of a machine, of which nobody is told."""
WAIT_SECONDS = 0.1
"""The time after which psycopg looks up from waiting."""
KEEPALIVE = MappingProxyType(
    {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
)
"""By these the system finds most connections that are half open sooner, and also those on which a statement may take as
long as it likes: a peer that does not acknowledge for 20 to 25 seconds is gone."""
SERVER_KEEPALIVE = MappingProxyType(
    {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3, "tcp_user_timeout": 20_000}
)
"""The same for the server's side, which would wait for two hours for a client whose machine is gone, with its locks."""


Answer = TypeVar("Answer")


class Work(StrEnum):
    """The classes of work of a process. Each has connections of its own, so that none waits behind another: whatever
    callers ask for, events are settled and published, and health is told."""

    CALLS = "calls"
    """Everything that callers wait for, except for clicks."""
    CLICKS = "clicks"
    """The look-up of links, for clicks that are recorded and visitors that are led on."""
    CONSUMING = "consuming"
    """Working on the events of streams: settling, telling, writing clicks, and setting messages aside."""
    RELAY = "relay"
    """Publishing the outbox."""
    JOBS = "jobs"
    """The work that a service does by itself."""
    PROBES = "probes"
    """Looking whether the database is right, of which health tells."""


@dataclass(frozen=True, slots=True)
class Share:
    """The connections that a class of work has in each process."""

    connections: int
    """The most that are open; they are opened when they are first needed."""
    wait_seconds: float
    """The time for which work waits for one of them."""


SHARES = MappingProxyType(
    {
        # Whoever holds a connection of calls for long waits for a lock, and that wait ends in the same time.
        Work.CALLS: Share(10, LOCK_TIMEOUT_MS / 1000),
        Work.CLICKS: Share(2, LOCK_TIMEOUT_MS / 1000),
        # Settling has two transactions at once: one is decided while the other is written. What takes long has a third.
        Work.CONSUMING: Share(3, 30.0),
        Work.RELAY: Share(1, 30.0),
        # The audit has one for as long as it takes; two are left for all the others, which take turns.
        Work.JOBS: Share(3, 30.0),
        # Below the time in which a probe has to succeed, so that it can tell what was wrong.
        Work.PROBES: Share(1, 5.0),
    }
)
"""The connections of each class of work. What they come to for a number of processes is told in
docs/guides/operate.md."""


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that does not wait for ever for a server of which nothing is heard."""

    silence_seconds: float | None = SILENCE_SECONDS
    """The longest wait for an answer in the present transaction; None for no end."""
    _connect_again: Connect | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """A connection, which knows how another one is made."""
        made = await super().connect(conninfo, **options)
        made._connect_again = partial(psycopg.AsyncConnection.connect, conninfo, **options)
        return made

    async def wait(
        self,
        gen: PQGen[Answer],
        interval: float = WAIT_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - as psycopg has it
    ) -> Answer:
        """Awaits an answer. Where none comes the connection is closed: what was asked on it has an unknown end."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self.silence_seconds = SILENCE_SECONDS
        # Nobody but the pool does anything outside of a transaction: it asks whether a connection is alive.
        longest = CONNECT_SECONDS if self.autocommit else self.silence_seconds
        if timeout is not None:
            longest = None
        loop = asyncio.get_running_loop()
        began, pid = loop.time(), self.pgconn.backend_pid
        try:
            return await super().wait(gen, interval, timeout or longest)
        except asyncio.CancelledError:
            if self.pgconn.status == ConnStatus.BAD:  # the server did not answer that either
                self._end_session(pid, began)
            raise
        except psycopg.OperationalError as error:
            if longest is None or loop.time() - began < longest:
                raise
            self.pgconn.finish()
            self._end_session(pid, began)
            raise psycopg.OperationalError(f"nothing was heard of the database for {longest:g} seconds") from error

    def _end_session(self, pid: int, silent_since: float) -> None:
        if self._connect_again is not None:
            end_session(self._connect_again, pid, silent_since)


async def allow_statements(conn: AsyncConnection, milliseconds: int) -> None:
    """Lets each statement of a transaction take so long, rather than STATEMENT_TIMEOUT_MS; 0 for as long as it
    takes."""
    await conn.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
    connection = await psycopg_connection(conn)
    if isinstance(connection, _Connection):
        connection.silence_seconds = milliseconds / 1000 + LATE_SECONDS if milliseconds else None


class Database:
    """The connections of one class of work of a service; every statement sees the service's own schema first."""

    def __init__(self, url: str, schema: str, work: Work = Work.CALLS, process: str = "") -> None:
        """`process` is what the database calls its owner, where that is not the schema's name."""
        self.schema = schema
        self.waiting = 0
        """How much work waits for a connection, or for one to be opened."""
        self.limit = SHARES[work].connections
        share = SHARES[work]
        options = (
            f"-c search_path={schema} -c timezone=UTC -c lock_timeout={LOCK_TIMEOUT_MS}"
            f" -c statement_timeout={STATEMENT_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS}"
            + "".join(f" -c {name}={value}" for name, value in SERVER_KEEPALIVE.items())
        )
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=share.connections,
            max_overflow=0,
            pool_timeout=share.wait_seconds,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text goes into logs, and parameters hold what people have told
            connect_args={
                "options": options,
                "application_name": f"upline-{process or schema}-{work}",
                "connect_timeout": CONNECT_SECONDS,
                "async_creator_fn": _Connection.connect,
            }
            | KEEPALIVE,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One READ COMMITTED transaction. Commit and rollback finish even if the caller is cancelled meanwhile."""
        self.waiting += 1
        try:
            conn = await self.engine.connect()
        finally:
            self.waiting -= 1
        try:
            transaction = await conn.begin()
            try:
                yield conn
            except BaseException:
                await _finish(transaction.rollback())
                raise
            await _finish(transaction.commit())
        finally:
            await _finish(conn.close())

    async def ready(self) -> None:
        """Raises if the database does not answer, or does not let the service in."""
        try:
            async with self.transaction() as conn:
                await conn.execute(text("SELECT 1"))
        except OperationalError as error:
            if is_unprepared(error):
                raise RuntimeError(
                    f"{error.orig}: run `upline migrate` with the password that the services use"
                ) from error
            raise

    def in_use(self) -> int:
        """The number of connections that are in use."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()


async def _finish(work: Coroutine[Any, Any, Any]) -> None:
    """Awaits `work` to its end; a cancellation that comes meanwhile takes effect afterwards."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    await task


def driver_url(url: str) -> URL:
    """The URL with the psycopg driver named, whatever `postgresql://` form it came in."""
    return make_url(url).set(drivername="postgresql+psycopg")


async def psycopg_connection(conn: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection of the same transaction, for COPY and pipelines."""
    raw = (await conn.get_raw_connection()).driver_connection
    if not isinstance(raw, psycopg.AsyncConnection):
        raise TypeError(f"expected a psycopg connection, got {type(raw).__name__}")
    return raw


def is_unstorable_text(error: BaseException) -> bool:
    """Whether a text was refused for a zero character in it: protobuf allows that, PostgreSQL does not."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, psycopg.errors.UntranslatableCharacter):  # a JSON text, which the server reads
        return True
    return isinstance(error, psycopg.DataError) and "NUL (0x00)" in str(error)


def is_beyond_int64(error: BaseException) -> bool:
    """Whether a sum came to more than 64 bits hold."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return isinstance(error, psycopg.errors.NumericValueOutOfRange)


_NOT_PREPARED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)
_NO_ENTRY = re.compile(
    r'(authentication failed for user|role) "|database "[^"]*" does not exist|permission denied for database'
)
"""The texts with which PostgreSQL refuses a role that it does not know: the error of a refused connection has no
code."""


def is_unprepared(error: BaseException) -> bool:
    """Whether the database lacks something that the service needs, as after a restore: tables, a role, or its
    privileges."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return _NO_ENTRY.search(str(error)) is not None
    return isinstance(error, _NOT_PREPARED)


def is_busy(error: BaseException) -> bool:
    """Whether all connections of a class of work were in use for as long as work waits for one."""
    return isinstance(error, PoolTimeout)


_NOT_THE_WORK = (
    *_NOT_PREPARED,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
"""A database that is not migrated yet, or fails over: however long that takes, no event must be given up for it."""


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed when it is tried again: the connection was lost, or there was a deadlock, a
    timeout, a shutdown or a migration."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        if isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated:
            return True
        error = error.orig
    return isinstance(
        error,
        (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError, TimeoutError, *_NOT_THE_WORK),
    )
