"""Errors as people read them, and the exit code that goes with each."""

import sys
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from chassis.embedded.state import StateLockedError
from chassis.errors import MigrationRefused, UplineError
from cli.bundle.problems import BundleError
from cli.stack.errors import PortTaken, StackFailed

REFUSED, NOT_REACHED, USAGE = 1, 3, 2


class CommandFailed(Exception):
    """A command that cannot go on, in a sentence for people."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


_EXPECTED = (
    grpc.RpcError,
    BundleError,
    CommandFailed,
    UplineError,
    StateLockedError,
    MigrationRefused,
    PortTaken,
    StackFailed,
    OSError,
)


def is_expected(error: BaseException) -> bool:
    """Whether the error can be described; any other is a mistake of the program, and is told with its trace."""
    return isinstance(error, _EXPECTED) or _is_database_away(error)


def describe(error: BaseException) -> tuple[list[str], int]:
    """An error as lines to print, and the exit code that goes with it."""
    if isinstance(error, grpc.RpcError):
        return _describe_call(error)
    if isinstance(error, CommandFailed):
        return [str(error)], error.code
    if isinstance(error, UplineError):  # comes from a command that decides by itself, beneath the services
        return [f"  {each.field}: {each.description}" for each in error.violations] or [error.message], REFUSED
    if isinstance(error, BundleError):
        count = len(error.problems)
        return [*str(error).splitlines(), f"{count} mistake{'s' * (count > 1)}; {error.outcome}"], REFUSED
    if _is_database_away(error):
        return [f"the database does not answer: {str(getattr(error, 'orig', error)).strip()}"], NOT_REACHED
    return [_file_fault(error) or str(error)], REFUSED


def _is_database_away(error: BaseException) -> bool:
    """Whether the database does not answer.

    SQLAlchemy takes a quarter of a command's start. Few commands load it, and no other can have its errors.
    """
    library = sys.modules.get("sqlalchemy.exc")
    return library is not None and isinstance(error, library.OperationalError)


def _file_fault(error: BaseException) -> str:
    """The fault of a file; empty where no file is at fault."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else ""


def violations(error: Any) -> list[tuple[str, str]]:
    """The fields at fault and why, as the service told them."""
    status = rpc_status.from_call(error)
    found = []
    for detail in status.details if status else ():
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            found += [(each.field, each.description) for each in bad_request.field_violations]
    return found


def untold_count(error: Any) -> int:
    """The number of fields at fault that the service did not tell, for it tells the first only."""
    return max(0, int(_error_info(error).metadata.get("violation_count", 0)) - len(violations(error)))


def reason_of(error: Any) -> str:
    """The error's reason, as `ErrorInfo` states it; the code's name where it states none."""
    return _error_info(error).reason or str(error.code().name)


def _error_info(error: Any) -> error_details_pb2.ErrorInfo:
    """The error's ErrorInfo, which is for programs; empty if it has none."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        if detail.Unpack(info):
            break
    return info


def _describe_call(error: grpc.RpcError) -> tuple[list[str], int]:
    code, details = error.code(), error.details()
    if code is grpc.StatusCode.UNAVAILABLE:
        return [
            f"the service does not answer: {details}",
            "is the stack running? `upline doctor` says more",
        ], NOT_REACHED
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ["the service did not answer in time; the same command can be given again"], NOT_REACHED
    fields = violations(error)
    if not fields:
        return [f"{code.name}: {details}"], REFUSED
    rest = [f"  and {more:,} more"] if (more := untold_count(error)) else []
    return [f"{code.name}:", *(f"  {path}: {why}" for path, why in fields), *rest], REFUSED
