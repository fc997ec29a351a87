"""The failures of the database that pass by themselves, and those that do not."""

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from chassis.database import is_transient


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.DiskFull(),
        psycopg.errors.ReadOnlySqlTransaction(),
        psycopg.errors.UndefinedTable(),
        ProgrammingError("SELECT", {}, psycopg.errors.UndefinedColumn()),
        ProgrammingError("SELECT", {}, psycopg.errors.InsufficientPrivilege()),
        ConnectionRefusedError(),
    ],
)
def test_a_database_that_is_away_or_not_migrated_yet_is_waited_for(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UniqueViolation(),
        psycopg.errors.NumericValueOutOfRange(),
        ProgrammingError("SELECT", {}, psycopg.errors.CardinalityViolation()),
        ValueError(),
    ],
)
def test_what_the_data_is_to_blame_for_does_not_pass(error: Exception) -> None:
    assert not is_transient(error)
