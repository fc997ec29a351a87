"""The tables as declared are the tables as migrated."""

from importlib import import_module

import pytest
from sqlalchemy import MetaData, Table, create_engine, inspect

from chassis.database import driver_url
from tests.conftest import SERVICES, Servers

MODULES = ("links", "clicks", "people", "conversions")


def declared(service: str) -> MetaData:
    """What a service says its tables are."""
    tables = import_module(f"services.{service}.tables")
    if service == "attribution":
        for name in MODULES:
            import_module(f"services.attribution.tables.{name}")
    metadata: MetaData = tables.metadata
    return metadata


def columns(table: Table) -> dict[str, tuple[bool, bool]]:
    """Whether each column may be null, and whether it is part of the primary key."""
    return {each.name: (bool(each.nullable), each.primary_key) for each in table.columns}


@pytest.mark.parametrize("service", SERVICES)
def test_declarations_tell_the_truth(servers: Servers, service: str) -> None:
    engine = create_engine(driver_url(servers.postgres.url))
    try:
        with engine.connect() as conn:
            inspector = inspect(conn)
            for table in declared(service).tables.values():
                keys = inspector.get_pk_constraint(table.name, schema=service)["constrained_columns"]
                found = {
                    each["name"]: (each["nullable"], each["name"] in keys)
                    for each in inspector.get_columns(table.name, schema=service)
                }
                assert found == columns(table), table.name
    finally:
        engine.dispose()
