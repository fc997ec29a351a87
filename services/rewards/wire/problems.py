"""Mistakes in a plan, gathered while it is read, so that the caller learns of all at once."""

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from chassis.errors import FieldViolation, invalid_fields


class Problems:
    """Mistakes with the fields that they are in."""

    def __init__(self, *, stored: bool = False) -> None:
        self.stored = stored
        self._violations: dict[FieldViolation, None] = {}

    def wrong(self, path: str, description: str) -> None:
        """Notes something that has no meaning: no plan can be made of it. A mistake that several levels share is noted
        once."""
        self._violations[FieldViolation(path, description)] = None

    def forbid(self, path: str, description: str) -> None:
        """Notes something that has a meaning, but that no plan is published with.

        A stored plan may have been, when less was forbidden; it keeps its meaning, so the caller goes on with what is
        stated.
        """
        if not self.stored:
            self.wrong(path, description)

    def raise_any(self) -> None:
        """INVALID_ARGUMENT with all mistakes, if there is one."""
        if self._violations:
            raise invalid_fields(list(self._violations), "INVALID_PLAN")

    def refuse_unknown(self, message: Message, path: str) -> None:
        """Notes fields that this server does not know: each may be money that it would not pay."""
        unknown_fields = UnknownFieldSet(message)
        for unknown in (unknown_fields[index] for index in range(len(unknown_fields))):
            self.wrong(path, f"has field number {unknown.field_number}, which this server does not know")
        for field, value in message.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            if field.is_repeated:
                for index, item in enumerate(value):
                    self.refuse_unknown(item, f"{path}.{field.name}[{index}]")
            else:
                self.refuse_unknown(value, f"{path}.{field.name}")
