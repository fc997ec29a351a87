"""The contract's own rules, with the field paths that `decode` uses."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from chassis.patterns import describe
from cli.bundle.names import short_name


def broken_rules(message: Message) -> list[tuple[str, str]]:
    """The rules that a message breaks: the path inside the message, and the wish of the rule."""
    return [_path_and_wish(each, message.DESCRIPTOR) for each in protovalidate.collect_violations(message)]


def _path_and_wish(violation: protovalidate.Violation, descriptor: Any) -> tuple[str, str]:
    path, text = "", describe(violation)
    here = descriptor
    for element in violation.proto.field.elements if violation.proto.field else ():
        if here is not None and element.field_name in here.oneofs_by_name:
            # A choice has no name in the file; it is the message around it that lacks something.
            members = ", ".join(member.name for member in here.oneofs_by_name[element.field_name].fields)
            return path, f"one of these must be given: {members}"
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
        known = here.fields_by_name[element.field_name] if here else None
        if known is not None and known.enum_type is not None and violation.proto.rule_id == "enum.not_in":
            names = (short_name(known.enum_type, value.number) for value in known.enum_type.values if value.number)
            text = f"must be given: one of {', '.join(map(str, names))}"
        here = known.message_type if known else None
    return path, text
