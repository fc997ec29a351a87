"""Generates the JSON schema of program files from protos/, for editors; `--check` fails if what is committed differs.

Names, comments, choices and limits are those of the contracts; how values are written is as in programs/README.md. An
editor finds misspelt fields and words with it and shows what each field means; `upline apply --check` finds the rest.
"""

import json
import re
import sys
from typing import Any

from buf.validate import validate_pb2
from descriptors import ROOT, descriptors
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

from cli.bundle.names import FILE_NAMES

TARGET = ROOT / "programs" / "program.schema.json"
SECTIONS = {
    "program": ("upline.attribution.v1.Program", "Who gets credit."),
    "plan": ("upline.rewards.v1.Plan", "What is paid to whom."),
    "effective_time": ("google.protobuf.Timestamp", "From when this version of the plan pays."),
    "texts": ("upline.notify.v1.ProgramTexts", "What people are told."),
}
SET_BY_THE_SERVICE = {"upline.attribution.v1.Program": {"create_time", "update_time"}}
WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": "^-?([0-9.]+(w|d|h|m|s|ms))+$",
        "examples": ["30d", "12h", "1d12h", "90s"],
    },
    "google.protobuf.Timestamp": {"type": "string", "examples": ["2026-01-31T09:00:00Z"]},
}
NUMBERS = {
    FieldDescriptorProto.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptorProto.TYPE_INT64: (-(2**63), 2**63 - 1),
}


class Schema:
    """The schema of all messages that the sections reach."""

    def __init__(self, protos: FileDescriptorSet) -> None:
        self._messages: dict[str, tuple[DescriptorProto, dict[tuple[int, ...], str], tuple[int, ...]]] = {}
        self._enums: dict[str, list[str]] = {}
        for file in protos.file:
            comments = {tuple(each.path): _comment(each.leading_comments) for each in file.source_code_info.location}
            for index, message in enumerate(file.message_type):
                self._messages[f"{file.package}.{message.name}"] = message, comments, (4, index)
                for nested in message.nested_type:
                    self._messages[f"{file.package}.{message.name}.{nested.name}"] = nested, {}, ()
            for enum in file.enum_type:
                self._enums[f"{file.package}.{enum.name}"] = [each.name for each in enum.value if each.number]
        self.definitions: dict[str, Any] = {}

    def reference(self, name: str) -> dict[str, Any]:
        """A message, described once."""
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        short = name.removeprefix("upline.")
        if short not in self.definitions:
            self.definitions[short] = {}  # a message may stand inside itself
            self.definitions[short] = self._message(name)
        return {"$ref": f"#/definitions/{short}"}

    def _message(self, name: str) -> dict[str, Any]:
        message, comments, path = self._messages[name]
        hidden = SET_BY_THE_SERVICE.get(name, set())
        properties: dict[str, Any] = {}
        required = []
        renamed = FILE_NAMES.get(name.lstrip("."), {})
        for index, field in enumerate(message.field):
            if field.name in hidden or field.name in renamed.values():
                continue
            rules = field.options.Extensions[validate_pb2.field]
            shown = renamed.get(field.name, field.name)
            properties[shown] = self._field(field, rules)
            if comment := comments.get((*path, 2, index)):
                properties[shown]["description"] = comment
            if field.name in renamed or (not field.HasField("oneof_index") and _is_required(field, rules)):
                required.append(shown)
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
        if comment := comments.get(path):
            schema["description"] = comment
        if required:
            schema["required"] = required
        choices = [self._choice(message, index) for index in range(len(message.oneof_decl))]
        if found := [each for each in choices if each]:
            schema["allOf"] = found
        return schema

    def _choice(self, message: DescriptorProto, index: int) -> dict[str, Any]:
        """Exactly one of the members, or at most one."""
        members = [
            each.name
            for each in message.field
            if each.HasField("oneof_index") and each.oneof_index == index and not each.proto3_optional
        ]
        options = [{"required": [each]} for each in members]
        if not members:
            return {}
        if message.oneof_decl[index].options.Extensions[validate_pb2.oneof].required:
            return {"oneOf": options}
        return {"oneOf": [*options, {"not": {"anyOf": options}}]}

    def _field(self, field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> dict[str, Any]:
        if field.label != FieldDescriptorProto.LABEL_REPEATED:
            return self._single(field, rules)
        entry = self._messages.get(field.type_name.lstrip("."))
        if entry is not None and entry[0].options.map_entry:
            value = entry[0].field[1]
            return {"type": "object", "additionalProperties": self._single(value, rules.map.values)}
        schema = {"type": "array", "items": self._single(field, rules.repeated.items)}
        limits = {"minItems": rules.repeated.min_items, "maxItems": rules.repeated.max_items}
        schema |= {name: limit for name, limit in limits.items() if limit}
        return schema | ({"uniqueItems": True} if rules.repeated.unique else {})

    def _single(self, field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> dict[str, Any]:
        name = field.type_name.lstrip(".")
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            # Beside a $ref nothing else counts, and a field has its own description.
            reference = self.reference(name)
            return {"allOf": [reference]} if "$ref" in reference else reference
        if field.type == FieldDescriptorProto.TYPE_ENUM:
            values = self._enums[name]
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name.rpartition(".")[2]).upper() + "_"
            return {"enum": [each.removeprefix(prefix) for each in values]}
        if field.type == FieldDescriptorProto.TYPE_BOOL:
            return {"type": "boolean"}
        if field.type == FieldDescriptorProto.TYPE_STRING:
            return _text(rules)
        return _number(field, rules)


def _text(rules: validate_pb2.FieldRules) -> dict[str, Any]:
    """Text; what looks like a number keeps its digits, so it need not be quoted."""
    schema: dict[str, Any] = {"type": ["string", "number"]}
    if rules.string.pattern:
        schema["pattern"] = rules.string.pattern
    if rules.string.min_len:
        schema["minLength"] = rules.string.min_len
    if rules.string.max_len:
        schema["maxLength"] = rules.string.max_len
    return schema


def _number(field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> dict[str, Any]:
    limits = rules.int32 if field.type == FieldDescriptorProto.TYPE_INT32 else rules.int64
    least, most = NUMBERS[field.type]
    given = {each.name: value for each, value in limits.ListFields()}
    least = given.get("gte", given.get("gt", least - 1) + 1)
    most = given.get("lte", given.get("lt", most + 1) - 1)
    return {"type": "integer", "minimum": least, "maximum": most}


def _is_required(field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> bool:
    """Whether its absence breaks a rule of its own."""
    if rules.required or rules.repeated.min_items:
        return True
    if field.proto3_optional or field.label == FieldDescriptorProto.LABEL_REPEATED:
        return False
    if field.type == FieldDescriptorProto.TYPE_STRING:
        return bool(rules.string.min_len or (rules.string.pattern and not re.search(rules.string.pattern, "")))
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        return 0 in rules.enum.not_in
    if field.type in NUMBERS:
        return bool(_number(field, rules)["minimum"] > 0)
    return False


def _comment(text: str) -> str:
    return " ".join(text.split())


def generate() -> str:
    """The schema as it is committed."""
    schema = Schema(descriptors())
    properties: dict[str, Any] = {}
    for section, (name, told) in SECTIONS.items():
        reference = schema.reference(name)
        properties[section] = {"description": told} | ({"allOf": [reference]} if "$ref" in reference else reference)
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A program of Upline",
        "description": "What `upline apply` reads; programs/README.md says how values are written.",
        "type": "object",
        "additionalProperties": False,
        "required": ["program"],
        "properties": properties,
        "definitions": dict(sorted(schema.definitions.items())),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Regenerates, or checks with `--check`; the exit status is 1 if the schema is stale."""
    fresh = generate()
    if "--check" not in sys.argv:
        TARGET.write_text(fresh)
        return 0
    if not TARGET.is_file() or TARGET.read_text() != fresh:
        print(f"stale schema: {TARGET.relative_to(ROOT)} (run `make protos`)")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
