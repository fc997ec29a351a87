"""The privileges of each service's database role: stated once, granted by `upline migrate`, looked for by readiness.

Migrations make tables, and `privileges.toml` beside them says what the service may do with each. A dump that is
restored on another server brings the tables and the revision they are at, but no roles and no privileges: whatever a
migration granted is gone then, and no migration runs again. So what is missing is found by asking the catalogue, and
granted however it came to be missing.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

ROOT = Path(__file__).resolve().parent.parent
_ONE = re.compile(r"([A-Z]+)(?: \(([a-z_]+)\))?")
_KINDS = {"tables": "TABLE", "sequences": "SEQUENCE", "functions": "FUNCTION"}

# A function that runs with the rights of its owner counts as granted only if nobody else may call it.
_MISSING = text("""
    SELECT wanted.kind, wanted.name, wanted.privilege, wanted.column_name
    FROM unnest(CAST(:kinds AS text[]), CAST(:names AS text[]), CAST(:privileges AS text[]), CAST(:columns AS text[]))
        AS wanted (kind, name, privilege, column_name)
    LEFT JOIN pg_namespace space ON space.nspname = :schema
    LEFT JOIN pg_class relation ON relation.relnamespace = space.oid AND relation.relname = wanted.name
        AND wanted.kind IN ('TABLE', 'SEQUENCE')
    LEFT JOIN pg_proc function ON function.pronamespace = space.oid AND function.proname = wanted.name
        AND wanted.kind = 'FUNCTION'
    CROSS JOIN (SELECT coalesce(CAST(:role AS name), current_user) AS name) AS role
    WHERE CASE
        WHEN wanted.kind = 'SCHEMA' THEN has_schema_privilege(role.name, space.oid, wanted.privilege)
        WHEN wanted.kind = 'SEQUENCE' THEN has_sequence_privilege(role.name, relation.oid, wanted.privilege)
        WHEN wanted.kind = 'FUNCTION' THEN has_function_privilege(role.name, function.oid, wanted.privilege)
            AND NOT has_function_privilege('public', function.oid, wanted.privilege)
        WHEN wanted.column_name = '' THEN has_table_privilege(role.name, relation.oid, wanted.privilege)
        ELSE has_column_privilege(role.name, relation.oid, wanted.column_name, wanted.privilege)
    END IS NOT TRUE
""")


@dataclass(frozen=True, slots=True)
class Privilege:
    """One thing a role may do with one object of its service's schema."""

    kind: str
    """TABLE (a view is one too), SEQUENCE, FUNCTION or SCHEMA."""
    name: str
    privilege: str
    """SELECT, INSERT, UPDATE, DELETE, USAGE or EXECUTE."""
    column: str = ""
    """The only column it is for; empty for the whole object."""

    def __str__(self) -> str:
        return f"{self.privilege}{f' ({self.column})' if self.column else ''} on {self.name}"


@cache
def stated(service: str) -> tuple[Privilege, ...]:
    """The privileges of a service's role, as `privileges.toml` beside its migrations states them."""
    found = [Privilege("SCHEMA", service, "USAGE")]
    file = ROOT / "services" / service / "migrations" / "privileges.toml"
    content: dict[str, dict[str, str]] = tomllib.loads(file.read_text())
    for section, objects in content.items():
        for name, words in objects.items():
            found += [Privilege(_KINDS[section], name, *each) for each in _ONE.findall(words)]
    return tuple(found)


def missing(conn: Connection, service: str, role: str | None = None) -> list[Privilege]:
    """The stated privileges that a role lacks, by one look at the catalogue; without `role`, the role of the
    connection."""
    wanted = stated(service)
    asked: dict[str, Any] = {
        "kinds": [each.kind for each in wanted],
        "names": [each.name for each in wanted],
        "privileges": [each.privilege for each in wanted],
        "columns": [each.column for each in wanted],
        "schema": service,
        "role": role,
    }
    return [Privilege(*row) for row in conn.execute(_MISSING, asked)]


def grant(conn: Connection, service: str, role: str) -> list[Privilege]:
    """Grants the privileges that the role lacks, and returns them."""
    lacking = missing(conn, service, role)
    for each in lacking:
        if each.kind == "SCHEMA":
            conn.execute(text(f"GRANT {each.privilege} ON SCHEMA {each.name} TO {role}"))
            continue
        what = f"{each.kind} {service}.{each.name}"
        if each.kind == "FUNCTION":
            conn.execute(text(f"REVOKE ALL ON {what} FROM PUBLIC"))
        columns = f" ({each.column})" if each.column else ""
        conn.execute(text(f"GRANT {each.privilege}{columns} ON {what} TO {role}"))
    return lacking
