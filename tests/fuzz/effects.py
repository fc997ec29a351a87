"""Whether a refused call changed anything.

PostgreSQL numbers every transaction that writes, and knows what became of it. While nothing else is under way, a call
after which no number was used wrote nothing; one whose transactions were all rolled back changed nothing. What the
broker stores is counted beside that.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import nats
import psycopg
from nats.aio.client import Client as Nats
from nats.js import JetStreamContext

from chassis.topology import CLICKS, CONVERSIONS, REWARDS

QUIET_SECONDS = 0.06
"""Nothing is under way when nothing was written for so long, and no event waits to be published or handled."""
MAX_WAIT_SECONDS = 20.0
POLL_SECONDS = 0.015
SCHEMAS = ("attribution", "rewards", "notify")

_NEXT = b"SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_STATUS = b"SELECT id, pg_xact_status(id::text::xid8) FROM generate_series(%s::bigint, %s::bigint - 1) AS id"
_UNPUBLISHED = b"""SELECT (SELECT count(*) FROM attribution.outbox WHERE publish_time IS NULL)
    + (SELECT count(*) FROM rewards.outbox WHERE publish_time IS NULL)"""
_TABLES = b"""SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1, 2"""


@dataclass
class Effects:
    """Watches the servers beneath a stack, as their owner."""

    conn: psycopg.AsyncConnection[Any]
    broker: Nats
    jetstream: JetStreamContext
    at: int = 0
    """The number of the next transaction, when it was last asked."""
    tables: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    async def open(cls, postgres_url: str, nats_url: str) -> "Effects":
        """Connects."""
        conn = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
        broker = await nats.connect(nats_url)
        found = cls(conn, broker, broker.jetstream())
        found.at = await found._next()
        found.tables = list(await (await conn.execute(_TABLES, [list(SCHEMAS)])).fetchall())
        return found

    async def close(self) -> None:
        """Disconnects."""
        await self.broker.close()
        await self.conn.close()

    async def quiet(self) -> None:
        """Returns when nothing is under way. Fails if that never comes."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MAX_WAIT_SECONDS
        since, last = loop.time(), await self._next()
        while loop.time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            if (now := await self._next()) != last:
                since, last = loop.time(), now
            elif loop.time() - since > QUIET_SECONDS and not await self._pending():
                # What was pending may have been written while it was looked for.
                self.at = await self._next()
                if self.at == last:
                    return
        raise AssertionError(f"something was written all the time for {MAX_WAIT_SECONDS} seconds")

    async def stored(self) -> int:
        """The number of events of clicks that the broker stored so far. Those of orders are published some time after
        their calls, so they would be taken for an effect of another one."""
        return (await self.jetstream.stream_info(CLICKS.name)).state.last_seq

    async def committed(self) -> list[int]:
        """The transactions that were committed since it was last asked."""
        since, self.at = self.at, await self._next()
        if since == self.at:
            return []
        rows = await (await self.conn.execute(_STATUS, [since, self.at])).fetchall()
        return [int(number) for number, status in rows if status != "aborted"]

    async def written(self, transactions: list[int]) -> list[str]:
        """The rows that transactions left, for people."""
        found = []
        wanted = ", ".join(f"'{each & 0xFFFFFFFF}'" for each in transactions)
        for schema, table in self.tables:
            query = f"SELECT t::text FROM {schema}.{table} AS t WHERE xmin::text IN ({wanted}) LIMIT 3"
            rows = await (await self.conn.execute(query.encode())).fetchall()
            found += [f"{schema}.{table} {row[0][:300]}" for row in rows]
        return found

    async def dead_letters(self) -> list[str]:
        """The events that were set aside."""
        found = []
        for schema in SCHEMAS:
            if (schema, "dead_letter") in self.tables:
                query = f"SELECT t::text FROM {schema}.dead_letter AS t LIMIT 5".encode()
                found += [f"{schema}: {row[0][:500]}" for row in await (await self.conn.execute(query)).fetchall()]
        return found

    async def _next(self) -> int:
        row = await (await self.conn.execute(_NEXT)).fetchone()
        return int(row[0]) if row else 0

    async def _pending(self) -> bool:
        row = await (await self.conn.execute(_UNPUBLISHED)).fetchone()
        if row and row[0]:
            return True
        for spec in (CLICKS, CONVERSIONS, REWARDS):
            # By numbers: a consumer's own count of what is pending follows the stream with a delay.
            last = (await self.jetstream.stream_info(spec.name)).state.last_seq
            for durable in spec.consumers:
                consumer = await self.jetstream.consumer_info(spec.name, durable)
                delivered = consumer.delivered.stream_seq if consumer.delivered else 0
                if last > delivered or consumer.num_ack_pending:
                    return True
        return False
