"""The rules that every answer and every error keeps to, whatever was asked."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from upline.attribution.v1.conversion_pb2 import AttributionReason

from chassis.pages import MAX_PAGE_BYTES, MAX_PAGE_SIZE
from chassis.sizes import is_map

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""The most that a client of gRPC reads by default: no answer is longer."""
BESIDE_ITEMS_BYTES = 256 * 1024
"""The most that a page has beside its items: a program's contest, sums, the token."""
ALLOWED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE,
    }
)  # fmt: skip
"""The codes that a healthy stack gives to whom it refuses. It has room for the few calls at once that come here, and
its servers are there, so nothing is UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED either."""
NOT_YET = frozenset({"AUDIT_UNDER_WAY"})
"""Reasons for coming again that belong to a healthy stack, too."""
_ROW = re.compile(r"^\| `([^`]+)` \| ([A-Z_, ]+) \|", re.MULTILINE)
_REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
WITHOUT_FIELD = frozenset({"DEADLINE_REQUIRED", "NOT_A_REQUEST", "TOO_LONG", "ZERO_CHARACTER"})
"""Faults of a request as a whole, or of a text in it that is only met where it is stored."""


@cache
def reasons() -> dict[str, set[str]]:
    """Every reason that the reference tells of, with its codes."""
    return {reason: set(codes.split(", ")) for reason, codes in _ROW.findall(_REFERENCE.read_text())}


def wrong_error(error: grpc.aio.AioRpcError, requests: Sequence[Message]) -> str:
    """Tells what is wrong with an error; empty if it is as it should be.

    `requests` are the messages that were sent, where they can be read; of several, any may be meant.
    """
    if error.code() not in ALLOWED and reason_of(error) not in NOT_YET:
        return f"{error.code().name} is no answer of a healthy stack"
    status = _status(error)
    if status is None:
        return "no google.rpc.Status"
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad_request)
    if wrong := _wrong_reason(error.code().name, info):
        return wrong
    fields = [each.field for each in bad_request.field_violations]
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT and not fields and info.reason not in WITHOUT_FIELD:
        return "INVALID_ARGUMENT that names no field"
    for each in fields:
        if requests and not any(_is_there(request, each) for request in requests):
            return f"it names {each!r}, which is no field of the request"
    if not all(each.description for each in bad_request.field_violations) or not error.details():
        return "it says nothing to people"
    return ""


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of an error; empty where it has none."""
    info = error_details_pb2.ErrorInfo()
    for detail in getattr(_status(error), "details", ()):
        if detail.Unpack(info):
            break
    return str(info.reason)


def wrong_answer(answer: Message) -> str:
    """Tells what is wrong with an answer; empty if it is as it should be."""
    size = answer.ByteSize()
    if size > MAX_ANSWER_BYTES:
        return f"the answer has {size:,} bytes"
    if "next_page_token" not in answer.DESCRIPTOR.fields_by_name:
        return ""
    counts = [len(value) for field, value in answer.ListFields() if field.is_repeated]
    if any(count > MAX_PAGE_SIZE for count in counts):
        return f"a page of {max(counts):,}"
    if size > MAX_PAGE_BYTES + BESIDE_ITEMS_BYTES and any(count > 1 for count in counts):
        return f"a page of {size:,} bytes"
    return ""


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
    return None


def _wrong_reason(code: str, info: error_details_pb2.ErrorInfo) -> str:
    if info.domain != "upline" or not info.reason:
        return "no ErrorInfo of upline"
    known = reasons()
    if info.reason.endswith("_NOT_FOUND"):
        return "" if code == "NOT_FOUND" else f"{info.reason} with {code}"
    if info.reason in known:
        return "" if code in known[info.reason] else f"{info.reason} with {code}, which the reference does not tell of"
    names = AttributionReason.DESCRIPTOR.values_by_name
    return "" if f"ATTRIBUTION_REASON_{info.reason}" in names else f"unknown reason {info.reason}"


def _is_there(request: Message, path: str) -> bool:
    """Whether a path leads to a field of the request, and to an item that it has. A path that was cut is not judged."""
    if path.endswith("…"):
        return True
    message: Message | None = request
    descriptor: Descriptor | None = request.DESCRIPTOR
    for part in re.findall(r"[^.\[\]]+(?:\[.*?\])?(?=\.|$)", _without_keys(path)):
        name, _, index = part.rstrip("]").partition("[")
        field = descriptor.fields_by_name.get(name) if descriptor is not None else None
        if field is None:
            return descriptor is not None and name in descriptor.oneofs_by_name
        value = getattr(message, name) if message is not None else None
        if index.isdigit() and value is not None and not is_map(field):
            if int(index) >= len(value):
                return False
            value = value[int(index)]
        descriptor = field.message_type
        message = value if isinstance(value, Message) else None
    return True


def _without_keys(path: str) -> str:
    """A path without the keys of maps, which may be any text and stand last."""
    return re.sub(r"\[(?!\d+\]).*$", "", path, flags=re.DOTALL)
