"""How many rows a service's statements touch: what they cost whatever the machine does besides."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import event

from tests.running import Running


@dataclass
class Touched:
    """The rows that were touched, once the block has ended."""

    rows: int = 0


@asynccontextmanager
async def touching(running: Running, owner_url: str) -> AsyncIterator[Touched]:
    """Counts the rows that the service's reading calls touch meanwhile: those that each step of a plan finds, and those
    that it drops. The statements are explained afterwards, by the owner of the database."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_others: Any) -> None:
        asked.append((statement, parameters))

    database = running.service.database
    event.listen(database.engine.sync_engine, "after_cursor_execute", note)
    touched = Touched()
    try:
        yield touched
    finally:
        event.remove(database.engine.sync_engine, "after_cursor_execute", note)
    async with await psycopg.AsyncConnection.connect(owner_url, options=f"-c search_path={database.schema}") as sql:
        for statement, parameters in asked:
            cursor = await sql.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), parameters)
            (found,) = await cursor.fetchone() or ([],)
            plans = found if isinstance(found, list) else json.loads(found)
            touched.rows += sum(_rows(each["Plan"]) for each in plans)


def _rows(plan: dict[str, Any]) -> int:
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Join Filter", 0)
    return int(own * plan["Actual Loops"]) + sum(map(_rows, plan.get("Plans", ())))
