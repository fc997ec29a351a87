"""The greatest length of requests, and the error for one that is longer."""

from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.rpc import code_pb2

from chassis.errors import UplineError, invalid

MEBIBYTE = 1024 * 1024
MAX_READ_BYTES = 32 * MEBIBYTE
"""The longest request that gRPC reads at all. It answers a longer one with RESOURCE_EXHAUSTED, as if there were no room
just now; so this lies far above what requests may have, and those between the two are told that they are too long."""
MAX_REQUEST_BYTES = 4 * MEBIBYTE
"""The bound of a request with a list of items: 1,000 clicks or conversions of ordinary size fit several times."""
MAX_ITEM_BYTES = 3 * MEBIBYTE
"""The bound of a request about one item. Clients of gRPC read 4 MB by default, so the item can be read again with what
is added to it."""


@dataclass(frozen=True, slots=True)
class SizeBound:
    """The greatest length of a method's requests, and the field that makes them long."""

    most_bytes: int
    field: str
    """The request's list of items, else the one thing it is about; empty if it has neither."""
    of_many: bool

    @classmethod
    def of(cls, method: MethodDescriptor) -> "SizeBound":
        """The bound of a method's requests."""
        own = [
            field
            for field in method.input_type.fields
            if field.message_type and field.message_type.file.package.startswith("upline.")
        ]
        for field in own:
            if field.is_repeated and not is_map(field):
                return cls(MAX_REQUEST_BYTES, field.name, of_many=True)
        return cls(MAX_ITEM_BYTES, own[0].name if own else "", of_many=False)

    def error_of(self, size_bytes: int) -> UplineError:
        """INVALID_ARGUMENT for a request of `size_bytes`, which is more than that, with what to send instead."""
        instead = f"fewer {self.field} at once" if self.of_many else "less"
        message = f"the request has {size_bytes:,} bytes; at most {self.most_bytes:,} are taken, so send {instead}"
        if self.field:
            return invalid(self.field, message, "TOO_LONG")
        return UplineError(code_pb2.INVALID_ARGUMENT, "TOO_LONG", message)


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map, which descriptors show as a list of entries."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry
