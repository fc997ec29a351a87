"""Errors as they come over the wire."""

import grpc
from google.rpc import error_details_pb2, status_pb2


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The `google.rpc.Status` in an error's trailing metadata."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
    raise AssertionError(f"no status details in {error.code()}: {error.details()}")


def violated_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that a BadRequest names."""
    bad_request = error_details_pb2.BadRequest()
    for detail in status_of(error).details:
        if detail.Unpack(bad_request):
            break
    return [each.field for each in bad_request.field_violations]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason an ErrorInfo gives."""
    info = error_details_pb2.ErrorInfo()
    for detail in status_of(error).details:
        if detail.Unpack(info):
            break
    return info.reason
