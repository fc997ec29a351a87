"""Mistakes in a program file, each with its position."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file."""

    position: Position
    path: str
    """The path of the field, such as `plan.rules[1].amount`; empty where the file as a whole is at fault."""
    text: str

    def described(self, file: str) -> str:
        """`file:line:column: path: text`, which editors and terminals can jump to."""
        where = f"{file}:{self.position.line}:{self.position.column}: "
        return where + (f"{self.path}: {self.text}" if self.path else self.text)


class BundleError(Exception):
    """A program file that cannot be used, with every mistake found in it."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.outcome = "nothing was changed"
        """The end of the message, which says what was done all the same."""
        self.problems = sorted(problems, key=lambda each: each.position)
        super().__init__("\n".join(each.described(file) for each in self.problems))
