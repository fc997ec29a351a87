"""Writes docs/reference/schema.sql: the tables of all services as they are after every migration, with their comments.

It asks the catalogue of a database that was just migrated, on an embedded server of its own, so the file says what is
there and not what somebody meant. tests/integration/test_schema.py compares it with a migrated database.
"""

import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row

from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from chassis.migrate import migrate

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference" / "schema.sql"
SERVICES = ["attribution", "rewards", "notify"]
WIDTH = 120
HEADER = """\
-- The tables of Upline, each service's in a schema of its own, as `upline migrate` leaves them.
-- Written by `make schema` from a migrated database. Partitions are left out: they are made as time goes on.
-- What the services' roles may do stands in services/*/migrations/privileges.toml.
"""

_RELATIONS = """
    SELECT c.oid, c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment,
        CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
        CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid, true) END AS definition
    FROM pg_class AS c
    WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
    ORDER BY c.relkind = 'v', c.relname COLLATE "C"
"""
_COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS is_needed,
        a.attidentity <> '' AS is_identity, pg_get_expr(d.adbin, d.adrelid, true) AS initial,
        col_description(a.attrelid, a.attnum) AS comment
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
    SELECT pg_get_constraintdef(oid, true) AS definition FROM pg_constraint
    WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c', 'x')
    ORDER BY array_position(ARRAY['p', 'u', 'f', 'c', 'x'], contype::text), pg_get_constraintdef(oid, true) COLLATE "C"
"""
_INDEXES = """
    SELECT pg_get_indexdef(i.indexrelid, 0, true) AS definition FROM pg_index AS i
    WHERE i.indrelid = %s AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
    ORDER BY pg_get_indexdef(i.indexrelid, 0, true) COLLATE "C"
"""
_SEQUENCES = """
    SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment FROM pg_class AS c
    WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'S'
        AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i') AND refobjsubid > 0)
    ORDER BY c.relname COLLATE "C"
"""
_FUNCTIONS = """
    SELECT proname AS name, pg_get_function_arguments(oid) AS arguments, pg_get_function_result(oid) AS result,
        obj_description(oid, 'pg_proc') AS comment
    FROM pg_proc WHERE pronamespace = %s::regnamespace ORDER BY proname COLLATE "C"
"""


def describe(url: str) -> str:
    """The schemas of all services in a migrated database, as SQL to be read."""
    with psycopg.connect(url, autocommit=True) as conn:
        return HEADER + "".join(_schema(conn, each) for each in SERVICES)


def uncommented(url: str, schema: str) -> list[str]:
    """The tables, views, columns, sequences and functions of a schema that have no comment."""
    with psycopg.connect(url, autocommit=True) as conn:
        relations = list(_rows(conn, _RELATIONS, schema))
        columns = [(table.name, each) for table in relations for each in _rows(conn, _COLUMNS, table.oid)]
        others = [*_rows(conn, _SEQUENCES, schema), *_rows(conn, _FUNCTIONS, schema)]
    return [each.name for each in relations + others if not each.comment] + [
        f"{table}.{each.name}" for table, each in columns if not each.comment
    ]


def main() -> int:
    """Migrates a database of its own and writes down what it has."""
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(StateDirectory(Path(folder)))
        try:
            server.start()
            migrate(server.url, SERVICES, "unused")
            TARGET.write_text(describe(server.url))
        finally:
            server.stop()
    print(TARGET.relative_to(ROOT))
    return 0


def _schema(conn: psycopg.Connection, schema: str) -> str:
    # Names of this schema are told without it.
    conn.execute(f"SET search_path = {schema}".encode())
    parts = [f"CREATE SCHEMA {schema};\nSET search_path = {schema};\n"]
    for each in _rows(conn, _SEQUENCES, schema):
        parts.append(f"{_comment(each.comment)}CREATE SEQUENCE {each.name};\n")
    for each in _rows(conn, _RELATIONS, schema):
        parts.append(_view(conn, each) if each.kind == "v" else _table(conn, each))
    for each in _rows(conn, _FUNCTIONS, schema):
        parts.append(f"{_comment(each.comment)}-- FUNCTION {each.name}({each.arguments}) RETURNS {each.result}\n")
    return "".join(f"\n{each}" for each in parts)


def _table(conn: psycopg.Connection, table: Any) -> str:
    columns = [
        _comment(each.comment, "    ")
        + f"    {each.name} {each.type}"
        + (" NOT NULL" if each.is_needed else "")
        + (" GENERATED ALWAYS AS IDENTITY" if each.is_identity else "")
        + (f" DEFAULT {each.initial}" if each.initial else "")
        for each in _rows(conn, _COLUMNS, table.oid)
    ]
    keys = [f"    {each.definition}" for each in _rows(conn, _CONSTRAINTS, table.oid)]
    partitions = f" PARTITION BY {table.partition_key}" if table.partition_key else ""
    made = (
        f"{_comment(table.comment)}CREATE TABLE {table.name} (\n" + ",\n".join(columns + keys) + f"\n){partitions};\n"
    )
    return made + "".join(_index(each.definition) for each in _rows(conn, _INDEXES, table.oid))


def _index(definition: str) -> str:
    whole = definition.replace(" USING btree", "").replace(" ON ONLY ", " ON ") + ";\n"
    return whole if len(whole) <= WIDTH else whole.replace(" WHERE ", "\n    WHERE ")


def _view(conn: psycopg.Connection, view: Any) -> str:
    columns = [f"{each.name}: {each.comment}" for each in _rows(conn, _COLUMNS, view.oid)]
    told = "".join(_comment(each, further="    ") for each in columns)
    return f"{_comment(view.comment)}{told}CREATE VIEW {view.name} AS\n{view.definition}\n"


def _comment(text: str | None, indent: str = "", further: str = "") -> str:
    if not text:
        return ""
    lines = textwrap.wrap(text, WIDTH, initial_indent=f"{indent}-- ", subsequent_indent=f"{indent}-- {further}")
    return "".join(f"{each}\n" for each in lines)


def _rows(conn: psycopg.Connection, query: LiteralString, argument: object) -> Iterator[Any]:
    return iter(conn.cursor(row_factory=namedtuple_row).execute(query, [argument]).fetchall())


if __name__ == "__main__":
    sys.exit(main())
