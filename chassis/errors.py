"""One error type, mapped to `google.rpc.Status` in one place (AIP-193)."""

from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

ERROR_DOMAIN = "upline"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request."""

    field: str
    """Path from the request, such as `conversions[3].amount.currency_code`."""
    description: str


@dataclass(slots=True)
class UplineError(Exception):
    """An error the caller can understand: raised in commands and queries, told as a `google.rpc.Status`."""

    code: int
    """A `google.rpc.Code`."""
    reason: str
    """UPPER_SNAKE_CASE, stable, for programs."""
    message: str
    """One sentence for people."""
    violations: tuple[FieldViolation, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def to_status(self) -> status_pb2.Status:
        """The error as it goes over the wire, with `ErrorInfo` and, where fields are at fault, `BadRequest`."""
        details = [
            _packed(error_details_pb2.ErrorInfo(reason=self.reason, domain=ERROR_DOMAIN, metadata=self.metadata)),
        ]
        if self.violations:
            bad_request = error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
                    for each in self.violations
                ]
            )
            details.append(_packed(bad_request))
        return status_pb2.Status(code=self.code, message=self.message, details=details)


class MigrationRefused(RuntimeError):
    """The database does not let `upline migrate` do what is necessary."""


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def invalid(field_path: str, description: str, reason: str = "INVALID_FIELD") -> UplineError:
    """INVALID_ARGUMENT for one field."""
    return invalid_fields([FieldViolation(field_path, description)], reason)


def invalid_fields(violations: list[FieldViolation], reason: str = "INVALID_FIELD") -> UplineError:
    """INVALID_ARGUMENT for several fields; `violations` is not empty."""
    message = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return UplineError(code_pb2.INVALID_ARGUMENT, reason, message, tuple(violations))


def not_found(kind: str, name: str) -> UplineError:
    """NOT_FOUND: there is no such `kind` (`program`, `participant`, …)."""
    return UplineError(
        code_pb2.NOT_FOUND, f"{kind.upper()}_NOT_FOUND", f"{kind} {name!r} does not exist", metadata={kind: name}
    )


def already_exists(reason: str, message: str, field_path: str = "") -> UplineError:
    """ALREADY_EXISTS: the name is taken by something else."""
    violations = (FieldViolation(field_path, message),) if field_path else ()
    return UplineError(code_pb2.ALREADY_EXISTS, reason, message, violations)


def failed_precondition(reason: str, message: str, field_path: str = "") -> UplineError:
    """FAILED_PRECONDITION: the request is well-formed, but not now."""
    violations = (FieldViolation(field_path, message),) if field_path else ()
    return UplineError(code_pb2.FAILED_PRECONDITION, reason, message, violations)


def unavailable(reason: str, message: str) -> UplineError:
    """UNAVAILABLE: try the same again shortly."""
    return UplineError(code_pb2.UNAVAILABLE, reason, message)


def grpc_code(code: int) -> grpc.StatusCode:
    """The grpcio constant of a `google.rpc.Code`."""
    return _GRPC_CODES[code]


_GRPC_CODES: dict[int, grpc.StatusCode] = {each.value[0]: each for each in grpc.StatusCode}
