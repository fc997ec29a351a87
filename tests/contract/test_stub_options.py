"""The contracts tell generators of other languages where stubs go, and whose file the validation rules are."""

from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from protovalidate._gen.buf.validate import validate_pb as complete  # the complete module, as the library ships it

PROTOS = Path(__file__).resolve().parents[2] / "protos"
CONTRACTS = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("upline/**/*.proto"))


def descriptor(proto: str) -> FileDescriptor:
    """The descriptor of a proto, from its Python stub."""
    stub = import_module(proto.removesuffix(".proto").replace("/", ".") + "_pb2")
    found: FileDescriptor = stub.DESCRIPTOR
    return found


@pytest.mark.parametrize("proto", CONTRACTS)
def test_stubs_of_go_and_java_have_a_place(proto: str) -> None:
    options = descriptor(proto).GetOptions()
    _, package, version, file = proto.split("/")
    assert options.go_package == f"upline.internal/go/{package}/{version};{package}{version}"
    assert options.java_package == f"upline.{package}.{version}"
    assert options.java_multiple_files
    assert options.java_outer_classname == f"{file.removesuffix('.proto').title()}Proto"


def fields(message: Descriptor) -> list[FieldDescriptor]:
    """The fields of a message and of those within it."""
    return [*message.fields, *(field for nested in message.nested_types for field in fields(nested))]


@pytest.mark.parametrize("proto", CONTRACTS)
def test_every_field_can_be_a_keyword_argument_in_python(proto: str) -> None:
    messages = descriptor(proto).message_types_by_name.values()
    unwritable = [each for message in messages for each in fields(message) if iskeyword(each.name)]
    assert all(each.GetOptions().deprecated for each in unwritable), [each.full_name for each in unwritable]


def files() -> tuple[FileDescriptorProto, FileDescriptorProto]:
    """Our part of the vocabulary of rules, and the complete one."""
    ours, theirs = FileDescriptorProto(), FileDescriptorProto()
    validate_pb2.DESCRIPTOR.CopyToProto(ours)
    theirs.ParseFromString(complete.desc().proto.to_binary())
    return ours, theirs


def test_the_rules_vocabulary_belongs_to_the_complete_modules_packages() -> None:
    # Said here and not read from the library's copy, whose options its own build has overwritten.
    options = validate_pb2.DESCRIPTOR.GetOptions()
    assert options.go_package == "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
    assert options.java_package == "build.buf.validate"
    assert options.java_multiple_files
    assert options.java_outer_classname == "ValidateProto"


def test_what_we_declare_of_the_rules_vocabulary_is_numbered_as_in_the_complete_module() -> None:
    ours, theirs = files()
    assert (ours.name, ours.package) == (theirs.name, theirs.package)
    wanted = {
        (message.name, field.name): (field.number, field.type, field.type_name)
        for message in theirs.message_type
        for field in message.field
    } | {("", field.name): (field.number, field.type, field.extendee) for field in theirs.extension}
    declared = {
        (message.name, field.name): (field.number, field.type, field.type_name)
        for message in ours.message_type
        for field in message.field
    } | {("", field.name): (field.number, field.type, field.extendee) for field in ours.extension}
    assert len(declared) > 20
    assert declared.items() <= wanted.items()
    values = {(enum.name, value.name): value.number for enum in theirs.enum_type for value in enum.value}
    for enum in ours.enum_type:
        for value in enum.value:
            assert values[enum.name, value.name] == value.number
