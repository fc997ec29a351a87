"""Fails where text of the project breaks one of the rules by which it is written.

- No line has more than 120 columns, whether code, comment or docs. Ruff measures Python; here all other files are
  measured but for tables and diagrams of Markdown, web addresses, YAML (programs and scenarios, also where docs show
  some), and files of NOT_OURS.
- A docstring can be read alone, so none begins with "What".
- People are named by their role, or *they*: nobody's sex is guessed.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LONGEST_LINE = 120
NOT_OURS = re.compile(
    r"gen/.*|docs/reference/(schema\.sql|api/.*)|LICENSE|.*\.(lock|json|jsonl|sum|gz)|protos/buf/.*|programs/data/.*"
    r"|services/[a-z]+/migrations/versions/.*"
    r"|clients/(go|go-plain|java|node|python)/.*\.(mod|xml)"
)
"""Text of others, generated text, data, and migrations, which are never edited."""

_ADDRESS = re.compile(r"<?https?://\S+")
_PRONOUN = re.compile(r"\bh(e|is|im|imself)\b", re.IGNORECASE)
_OPENING = re.compile(r"What\b")
_DRAWN = re.compile(r"\s*\||.*[─│►▼┌┐└┘├┤]")


class Fault(NamedTuple):
    """A line that breaks a rule."""

    rule: str
    path: str
    line: int
    text: str


def faults(path: str, text: str) -> list[Fault]:
    """The faults of one file, in its order."""
    found = [*_long_lines(path, text)]
    if path.endswith(".py"):
        found += _python_prose(path, text)
    else:
        lines = enumerate(text.splitlines(), start=1)
        found += [Fault("pronoun", path, number, line) for number, line in lines if _PRONOUN.search(line)]
    return sorted(found, key=lambda each: each.line)


def all_faults() -> list[Fault]:
    """The faults of every file that git knows or that is new."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = [each for each in listed.stdout.split("\0") if each and not NOT_OURS.fullmatch(each)]
    return [fault for path in paths if (ROOT / path).is_file() for fault in faults(path, (ROOT / path).read_text())]


def main() -> int:
    """Tells the faults of all files; 1 if there are any."""
    found = all_faults()
    for each in found:
        print(f"{each.path}:{each.line}: {each.rule}: {each.text.strip()}", file=sys.stderr)
    return int(bool(found))


def _long_lines(path: str, text: str) -> Iterator[Fault]:
    if path.endswith((".py", ".yaml", ".yml")):
        return
    in_markdown, in_yaml = path.endswith(".md"), False
    for number, line in enumerate(text.splitlines(), start=1):
        if in_markdown and line.lstrip().startswith("```"):
            in_yaml = line.strip() == "```yaml"
        is_excepted = in_markdown and (in_yaml or _DRAWN.match(line))
        if len(_ADDRESS.sub("", line)) > LONGEST_LINE and not is_excepted:
            yield Fault("long", path, number, line)


def _python_prose(path: str, text: str) -> Iterator[Fault]:
    """The faults of comments, docstrings and messages."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and _PRONOUN.search(token.string):
            yield Fault("pronoun", path, token.start[0], token.string)
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            lines = node.value.splitlines()
            if id(node) in docstrings and _OPENING.match(node.value):
                yield Fault("what", path, node.lineno, lines[0])
            for number, line in enumerate(lines, start=node.lineno):
                if _PRONOUN.search(line):
                    yield Fault("pronoun", path, number, line)


if __name__ == "__main__":
    sys.exit(main())
