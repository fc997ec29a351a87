"""One error type, mapped to `google.rpc.Status` in one place (AIP-193).

A status travels in the metadata of an answer, of which clients read 8 kB by default; a longer one reaches the caller as
RESOURCE_EXHAUSTED, which is what overload looks like. So whatever is wrong, what is told of it has an upper bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

ERROR_DOMAIN = "upline"
MAX_VIOLATIONS = 20
"""The most fields at fault that are told one by one. Whoever mends them sees the pattern, and how many there are in
all."""
MAX_VIOLATION_BYTES = 2_600
"""The greatest length of all violations that are told together: 20 of usual length. Details travel as base64, a third
longer."""
MAX_PATH_BYTES = 300
"""The greatest length of a field's path, which may contain the key of a map, as long as a caller likes."""
MAX_MESSAGE_BYTES = 1_200
"""The greatest length of the message as it travels: percent-encoded, and once more inside the details. With the rest it
is below 8 kB."""
MAX_METADATA_BYTES = 250
"""The greatest length of one value of ErrorInfo's metadata: it may be an id of any length, where the id names
nothing."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault in one field of a request."""

    field: str
    """The path from the request, such as `conversions[3].amount.currency_code`."""
    description: str


@dataclass(slots=True)
class UplineError(Exception):
    """An error the caller can understand: raised in commands and queries, told as a `google.rpc.Status`."""

    code: int
    """A `google.rpc.Code`."""
    reason: str
    """A stable name in UPPER_SNAKE_CASE, for programs."""
    message: str
    """One sentence for people."""
    violations: tuple[FieldViolation, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    retry_seconds: float = 0.0
    """The time after which the same call may be answered, told as `RetryInfo`; 0: nothing is known of that."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def to_status(self) -> status_pb2.Status:
        """The error as it goes over the wire: with `ErrorInfo`, `BadRequest` where fields are at fault, and `RetryInfo`
        where it is known when to come again."""
        metadata = {name: _cut(value, MAX_METADATA_BYTES) for name, value in self.metadata.items()}
        violations = list(_first_violations(self.violations))
        if len(violations) < len(self.violations):
            metadata["violation_count"] = str(len(self.violations))
        details = [_packed(error_details_pb2.ErrorInfo(reason=self.reason, domain=ERROR_DOMAIN, metadata=metadata))]
        if violations:
            details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
        if self.retry_seconds:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(round(self.retry_seconds * 1000))
            details.append(_packed(retry))
        return status_pb2.Status(code=self.code, message=_cut(self.message, MAX_MESSAGE_BYTES), details=details)


def _first_violations(violations: Sequence[FieldViolation]) -> Iterator[error_details_pb2.BadRequest.FieldViolation]:
    """The first violations, as many as may be told; the very first is cut where it does not fit."""
    left_bytes = MAX_VIOLATION_BYTES
    for place, each in enumerate(violations[:MAX_VIOLATIONS]):
        path, description = _cut(each.field, MAX_PATH_BYTES), each.description
        if place == 0:
            description = _cut(description, left_bytes - len(path.encode()))
        left_bytes -= len(path.encode()) + len(description.encode())
        if left_bytes < 0:
            return
        yield error_details_pb2.BadRequest.FieldViolation(field=path, description=description)


def _cut(text: str, most: int) -> str:
    """The text, or its beginning and "…" where it has more than `most` bytes, percent-encoded as gRPC sends it."""
    end = size = 0
    for place, character in enumerate(text):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode("utf-8", "replace"))
        if size > most:
            return f"{text[:end]}…"
        if size <= most - _ELLIPSIS_BYTES:
            end = place + 1
    return text


_ELLIPSIS_BYTES = 9
"""The length of "…", percent-encoded."""


class MigrationRefused(RuntimeError):
    """The database does not let `upline migrate` do what is necessary."""


def _packed(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def invalid(field_path: str, description: str, reason: str = "INVALID_FIELD") -> UplineError:
    """INVALID_ARGUMENT for one field."""
    return invalid_fields([FieldViolation(field_path, description)], reason)


def invalid_fields(violations: list[FieldViolation], reason: str = "INVALID_FIELD") -> UplineError:
    """INVALID_ARGUMENT for several fields; `violations` is not empty. Of many, the message tells some and the count."""
    message = "; ".join(f"{each.field}: {each.description}" for each in violations[:MAX_VIOLATIONS])
    if len(violations) > MAX_VIOLATIONS or (len(violations) > 1 and _cut(message, MAX_MESSAGE_BYTES) != message):
        message = f"{len(violations):,} fields are at fault, among them {message}"
    return UplineError(code_pb2.INVALID_ARGUMENT, reason, message, tuple(violations))


def not_found(kind: str, name: str, violations: Sequence[FieldViolation] = ()) -> UplineError:
    """NOT_FOUND: there is no such `kind` (`program`, `participant`, …); `violations` tell which fields name it."""
    message = f"{kind} {name!r} does not exist"
    return UplineError(code_pb2.NOT_FOUND, f"{kind.upper()}_NOT_FOUND", message, tuple(violations), {kind: name})


def already_exists(reason: str, message: str, field_path: str = "") -> UplineError:
    """ALREADY_EXISTS: the name is taken by something else."""
    violations = (FieldViolation(field_path, message),) if field_path else ()
    return UplineError(code_pb2.ALREADY_EXISTS, reason, message, violations)


def failed_precondition(reason: str, message: str, field_path: str = "") -> UplineError:
    """FAILED_PRECONDITION: the request is well-formed, but not now."""
    violations = (FieldViolation(field_path, message),) if field_path else ()
    return UplineError(code_pb2.FAILED_PRECONDITION, reason, message, violations)


def unavailable(reason: str, message: str, retry_seconds: float = 0.0) -> UplineError:
    """UNAVAILABLE: try the same again shortly, or after so long."""
    return UplineError(code_pb2.UNAVAILABLE, reason, message, retry_seconds=retry_seconds)


def resource_exhausted(reason: str, message: str, retry_seconds: float = 0.0) -> UplineError:
    """RESOURCE_EXHAUSTED: as many as there may be are there already; try again when some have ended."""
    return UplineError(code_pb2.RESOURCE_EXHAUSTED, reason, message, retry_seconds=retry_seconds)


def grpc_code(code: int) -> grpc.StatusCode:
    """The grpcio constant of a `google.rpc.Code`."""
    return _GRPC_CODES[code]


_GRPC_CODES: dict[int, grpc.StatusCode] = {each.value[0]: each for each in grpc.StatusCode}
