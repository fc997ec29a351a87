"""The lines that people read when a call is refused."""

import grpc
from grpc_status import rpc_status
from sqlalchemy.exc import OperationalError

from chassis.errors import FieldViolation, UplineError, grpc_code, invalid_fields
from cli.errors import NOT_REACHED, REFUSED, describe, is_expected, reason_of, untold_count


class Refused(grpc.RpcError):
    """A refused call, as a client sees it."""

    def __init__(self, error: UplineError) -> None:
        self._status = rpc_status.to_status(error.to_status())
        self._code = grpc_code(error.code)

    def code(self) -> grpc.StatusCode:
        """The code."""
        return self._code

    def details(self) -> str:
        """The message."""
        return str(self._status.details)

    def trailing_metadata(self) -> object:
        """The metadata that hold the details."""
        return self._status.trailing_metadata


def test_the_first_mistakes_are_told_and_how_many_more_there_are() -> None:
    error = Refused(invalid_fields([FieldViolation(f"rules[{place}]", "is wrong") for place in range(1_023)]))
    lines, code = describe(error)
    assert code == REFUSED
    assert lines[:2] == ["INVALID_ARGUMENT:", "  rules[0]: is wrong"]
    assert lines[-2:] == ["  rules[19]: is wrong", "  and 1,003 more"]
    assert untold_count(error) == 1_003
    assert reason_of(error) == "INVALID_FIELD"


def test_of_few_mistakes_nothing_is_left_out() -> None:
    lines, _ = describe(Refused(invalid_fields([FieldViolation("title", "is missing")])))
    assert lines == ["INVALID_ARGUMENT:", "  title: is missing"]


def test_a_database_that_is_away_is_a_sentence_and_a_mistake_of_the_program_is_not() -> None:
    away = OperationalError("SELECT 1", None, OSError("connection refused"))
    assert is_expected(away)
    assert describe(away) == (["the database does not answer: connection refused"], NOT_REACHED)
    assert not is_expected(ZeroDivisionError())
