"""Totals of a database: figures that differ before and after if anything was lost or added."""

from dataclasses import dataclass
from typing import Any

import psycopg

from cli.stack.layout import SERVICES

Connection = psycopg.Connection[tuple[Any, ...]]

# Texts of rows must not depend on how a server writes times or bytes; and much takes long.
_PREPARE = """
    SET TIME ZONE 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0
"""
_TABLES = """
    SELECT relnamespace::regnamespace::text, relname::text FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = ANY (CAST(%s AS regnamespace[])) ORDER BY 1, 2
"""
# A sum of hashes is the same in whatever order the rows are read.
_ROWS = """
    SELECT count(*), coalesce(sum(hashtextextended(kept::text, 0)::numeric), 0)::text FROM "{schema}"."{table}" AS kept
"""
_ACCOUNTS = """
    SELECT program_id, asset, rewards.account_name(place, '') AS account, sum(amount_minor)::text FROM (
        SELECT program_id, asset, credit AS place, amount_minor FROM rewards.movement
        UNION ALL
        SELECT program_id, asset, debit, -amount_minor FROM rewards.movement
    ) AS sides GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows and a digest of each table; what is on each kind of account of each program and asset, by the transfers."""

    tables: dict[str, list[Any]]
    """The number of rows and the digest of each `schema.table`."""
    accounts: list[list[str]]
    """The sum on each kind of account: program, asset, kind, minor units (which may have more than 64 bits)."""

    @property
    def rows(self) -> int:
        """The number of rows in all tables together."""
        return sum(count for count, _ in self.tables.values())

    def differences(self, other: "Totals") -> list[str]:
        """The differences to other totals, in lines for people."""
        found = []
        for table in sorted(self.tables.keys() | other.tables.keys()):
            before, after = (each.tables.get(table, [0, "no table"]) for each in (self, other))
            if before[0] != after[0]:
                found.append(f"{table}: {before[0]} rows before, {after[0]} after")
            elif before != after:
                found.append(f"{table}: {before[0]} rows, but not the same")
        return found + self.money_differences(other)

    def money_differences(self, other: "Totals") -> list[str]:
        """The differences of accounts only, in lines for people."""
        before, after = ({tuple(each[:3]): each[3] for each in side.accounts} for side in (self, other))
        return [
            f"{' '.join(account)}: {before.get(account, '0')} before, {after.get(account, '0')} after"
            for account in sorted(before.keys() | after.keys())
            if before.get(account, "0") != after.get(account, "0")
        ]


def read_totals(conn: Connection) -> Totals:
    """The totals of everything the services keep, as the connection's transaction sees it."""
    conn.execute(_PREPARE)
    tables = {}
    for schema, table in list_tables(conn):
        row = conn.execute(_ROWS.format(schema=schema, table=table).encode()).fetchone()
        tables[f"{schema}.{table}"] = list(row or ())
    return Totals(tables, read_accounts(conn))


def read_accounts(conn: Connection) -> list[list[str]]:
    """The sum on each kind of account, by the transfers."""
    return [list(row) for row in conn.execute(_ACCOUNTS).fetchall()]


def list_tables(conn: Connection) -> list[tuple[str, str]]:
    """The tables that hold all the services keep, as (schema, table)."""
    return [(schema, table) for schema, table in conn.execute(_TABLES, [existing_schemas(conn)]).fetchall()]


def existing_schemas(conn: Connection) -> list[str]:
    """The services' schemas that exist."""
    rows = conn.execute("SELECT nspname::text FROM pg_namespace WHERE nspname = ANY (%s)", [list(SERVICES)]).fetchall()
    return [name for (name,) in rows]
