"""The program file as a whole: `program`, `plan`, `effective_time`, `texts`."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from upline.attribution.v1.program_pb2 import Program
from upline.notify.v1.notify_pb2 import ProgramTexts
from upline.rewards.v1.plan_pb2 import Plan

from cli.bundle.decode import Decoder
from cli.bundle.encode import plain_values
from cli.bundle.names import did_you_mean
from cli.bundle.problems import BundleError, Position, Problem
from cli.bundle.rules import broken_rules
from cli.bundle.source import parse, position_of

SECTIONS: dict[str, type[Message]] = {
    "program": Program,
    "plan": Plan,
    "effective_time": Timestamp,
    "texts": ProgramTexts,
}


@dataclass(slots=True)
class Bundle:
    """A program file that holds to the contracts."""

    file: str
    program: Program
    plan: Plan | None = None
    effective_time: Timestamp | None = None
    texts: ProgramTexts | None = None
    positions: dict[str, Position] = field(default_factory=dict)

    def problem(self, path: str, text: str) -> Problem:
        """A mistake at a field, or at the nearest thing around it that the file does have."""
        return Problem(nearest_position(self.positions, path), path, text)

    def under(self, program_id: str) -> "Bundle":
        """A copy of the program under another id."""
        program = Program()
        program.CopyFrom(self.program)
        program.program_id = program_id
        return replace(self, program=program)


STANDARD_INPUT = Path("-")
"""The name of a file that is read from standard input, as in a container that does not see the caller's files."""


def load(file: Path) -> Bundle:
    """Reads and checks a file. Raises BundleError with every mistake in it, OSError if it cannot be read."""
    if file == STANDARD_INPUT:
        return decode(sys.stdin.buffer.read(), "standard input")
    return decode(file.read_bytes(), str(file))


def decode(content: bytes, name: str) -> Bundle:
    """Checks a file's content. Raises BundleError with every mistake in it."""
    root = parse(content, name)
    decoder = Decoder()
    found = _sections(root, decoder)
    if "program" not in found:
        decoder.note(root, "program", "is missing: every file names its program")
    wrong = {each.path for each in decoder.problems}
    for section, message in found.items():
        for path, text in broken_rules(message):
            whole = f"{section}.{path}" if path else section
            if not _only_follows(whole, wrong, decoder.positions):
                decoder.problems.append(Problem(nearest_position(decoder.positions, whole), whole, text))
    if decoder.problems:
        raise BundleError(name, decoder.problems)
    return Bundle(name, positions=decoder.positions, **found)  # type: ignore[arg-type]


def _only_follows(path: str, wrong: set[str], positions: dict[str, Position]) -> bool:
    """Whether a broken rule only follows from a mistake that is told already: at the same path, inside it, or in a
    misspelt neighbour."""
    inside = (f"{path}.", f"{path}[")
    parent = path.rpartition(".")[0]
    return any(
        each == path or each.startswith(inside) or (path not in positions and each.rpartition(".")[0] == parent)
        for each in wrong
    )


def _sections(root: yaml.MappingNode, decoder: Decoder) -> dict[str, Message]:
    found: dict[str, Message] = {}
    decoder.positions[""] = position_of(root)
    for key, key_node, value_node in decoder.entries(root, ""):
        if key not in SECTIONS:
            decoder.note(key_node, key, f"unknown section{did_you_mean(key, SECTIONS)}")
            continue
        found[key] = SECTIONS[key]()
        decoder.positions[key] = position_of(key_node)
        decoder.message(value_node, found[key], key)
    return found


def nearest_position(positions: dict[str, Position], path: str) -> Position:
    """The place of a path, or of the closest one around it that is known."""
    while path not in positions and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return positions.get(path, Position(1, 1))


def encode(bundle: Bundle) -> str:
    """The text of a file that says the same as the bundle."""
    sections = {name: getattr(bundle, name) for name in SECTIONS}
    values = {name: plain_values(message) for name, message in sections.items() if message is not None}
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    """A dumper that writes text so that it comes back as it was, with paragraphs readable."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    lines = value.split("\n")
    if not all(line.isprintable() for line in lines):
        style = '"'  # other kinds of line ends would be folded into spaces
    elif len(lines) == 1:
        style = None
    else:
        # A block cannot begin or end with what YAML takes for layout.
        style = "|" if value == value.strip() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
