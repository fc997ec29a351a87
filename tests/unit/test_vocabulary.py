"""Names of code follow docs/reference/vocabulary.md: no retired word, and no class name with two meanings."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("services", "chassis", "cli")


class Name(NamedTuple):
    """A name that code gives to a class, function, parameter, attribute or module."""

    text: str
    kind: str
    module: str

    def __str__(self) -> str:
        return f"{self.kind} {self.text} in {self.module}"


def table(page: str, title: str) -> list[list[str]]:
    """The rows of the table under a title of the vocabulary."""
    section = page.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def names(source: str, module: str) -> Iterator[Name]:
    """The names that a module defines, its own included; variables inside functions are left out."""
    yield Name(module.rsplit(".", 1)[-1], "module", module)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(name=name):
                yield Name(name, "class", module)
                for each in node.body:
                    targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
                    for target in targets:
                        if isinstance(target, ast.Name):
                            yield Name(target.id, "attribute", module)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield Name(name, "function", module)
            case ast.arg(arg=name):
                yield Name(name, "parameter", module)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield Name(name, "attribute", module)


def modules() -> Iterator[tuple[str, str]]:
    """(dotted name, source) of every module; migrations tell how the tables were made then, in the words of then."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield dotted.removesuffix(".__init__"), path.read_text()


def retired(found: Iterator[Name], words: set[str]) -> set[str]:
    """The names among these that are a retired word, whether or not they are private."""
    return {str(each) for each in found if each.text.lstrip("_") in words}


def homonyms(sources: list[tuple[str, str]], allowed: set[str]) -> set[str]:
    """Public classes whose names several modules define; those of `allowed` may stand once in each service."""
    defining: dict[str, list[str]] = defaultdict(list)
    for module, source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defining[node.name].append(module)
    return {
        f"class {name} in {module}"
        for name, found in defining.items()
        if len(found) > (len({each.split(".")[1] for each in found}) if name in allowed else 1)
        for module in found
    }


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "reference" / "vocabulary.md").read_text()


def test_no_name_of_code_is_a_retired_word(page: str) -> None:
    words = {word for row in table(page, "Retired words") for word in row[0].split(", ")}
    found = retired((each for module, source in modules() for each in names(source, module)), words)
    assert found == set()


def test_a_class_name_means_one_thing(page: str) -> None:
    allowed = {row[0] for row in table(page, "One class name, two services")}
    sources = [each for each in modules() if each[0].startswith("services.")]
    assert homonyms(sources, allowed) == set()
    assert {each.split()[1] for each in homonyms(sources, set())} == allowed, "a name of the table stands only once"


@pytest.mark.parametrize(
    "source",
    [
        "class Heard: ...",
        "class _Heard: ...",
        "def Heard(): ...",
        "async def Heard(): ...",
        "def f(Heard): ...",
        "def f(*, Heard=1): ...",
        "def f(**Heard): ...",
        "class Rules:\n    Heard: int",
        "class Rules:\n    Heard = 1",
        "class Rules:\n    def __init__(self):\n        self.Heard = 1",
        "f = lambda Heard: 1",
    ],
)
def test_a_retired_word_is_found(source: str) -> None:
    assert len(retired(names(source, "services.one"), {"Heard"})) == 1


def test_a_retired_word_is_found_as_a_module() -> None:
    assert retired(names("", "services.heard"), {"heard"}) == {"module heard in services.heard"}


def test_words_that_only_contain_a_retired_one_are_names_like_others() -> None:
    assert retired(names("class Overheard:\n    heard_at: int", "services.one"), {"heard", "Heard"}) == set()


def test_a_class_name_with_two_meanings_is_found() -> None:
    asset = "class Asset: ..."
    twice = [("services.rewards.one", asset), ("services.notify.one", asset)]
    assert len(homonyms(twice, set())) == 2
    assert homonyms(twice, {"Asset"}) == set()
    assert len(homonyms([*twice, ("services.notify.two", asset)], {"Asset"})) == 3
