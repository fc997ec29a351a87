"""Fails where a page of the docs leads nowhere: links, anchors, paths, commands, and examples that nothing runs.

- Every relative link leads to a file or folder of the repository, every anchor to a heading.
- Every path of the repository that stands in backticks exists; so does every page of docs/ that code mentions.
- Every `upline` command has a command and options of these names, every `make` command a target.
- Every example says its language, and is run or checked by a test, or says why it is not: `sh no-run: why`. These are
  listed by `--not-run`.
"""

import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLAYED = {"sh", "python", "sql", "yaml", "json"}
"""Languages of examples that tests run (tests/docs) or check (tests/unit/cli/test_docs.py)."""
SHOWN = {"text"}
"""Languages of what is not run: drawings, output, help."""
NAMED = (".py", ".md", ".sh", ".toml", ".proto", ".sql")
"""Endings of names that stand for one file of the repository wherever it is."""

_FENCE = re.compile(r"^( *)```(\S*)[ ]*(.*?)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?)\s*$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_PATH = re.compile(r"\.?[\w.-]+(/[\w.*<>-]+)*/?")
_PAGE_IN_CODE = re.compile(r"\bdocs/[\w/.-]+\.(?:md|sql)\b")


@dataclass(frozen=True)
class Block:
    """One fenced example."""

    page: str
    line: int
    language: str
    says: str
    """The rest of the line that opens it."""
    text: str

    @property
    def reason_not_run(self) -> str:
        """Why it is not run; empty where it is."""
        return self.says.removeprefix("no-run:").strip() if self.says.startswith("no-run:") else ""


@cache
def tracked() -> frozenset[str]:
    """Every file that git knows or that is new, and every folder of them."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    files = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    folders = {str(folder) for name in files for folder in Path(name).parents}
    return frozenset(files | folders)


def pages() -> list[str]:
    """Every page of Markdown."""
    return sorted(name for name in tracked() if name.endswith(".md"))


@cache
def text_of(page: str) -> str:
    """The page as it stands."""
    return (ROOT / page).read_text()


@cache
def prose_of(page: str) -> str:
    """The page with its examples blanked, so that lines keep their numbers."""
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text_of(page))
    return re.sub(r"`[^`]*`", lambda span: span[0].replace("](", "] ("), text)  # a pattern is no link


def blocks(page: str) -> list[Block]:
    """The examples of a page, in its order."""
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3], _dedent(found[4], len(found[1])))
        for found in _FENCE.finditer(text)
    ]


def _dedent(text: str, spaces: int) -> str:
    return "".join(line[spaces:] if line.strip() else line for line in text.splitlines(keepends=True))


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(prose_of(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def main(arguments: list[str]) -> int:
    """Prints what is wrong; the exit status is 1 if anything is. `--not-run` lists the examples that are not run."""
    if "--not-run" in arguments:
        for each in (block for page in pages() for block in blocks(page) if block.reason_not_run):
            print(f"{each.page}:{each.line}: {each.reason_not_run}")
        return 0
    wrong = [fault for page in pages() for fault in faults(page)] + list(_pages_in_code())
    for fault in wrong:
        print(fault)
    return int(bool(wrong))


def faults(page: str) -> Iterator[str]:
    """All that is wrong with one page, with its place."""
    for found in _LINK.finditer(prose_of(page)):
        if why := _wrong_link(page, found[1]):
            yield f"{page}:{_line(page, found.start())}: {why}"
    for found in _SPAN.finditer(prose_of(page)):
        span = " ".join(found[1].split())
        if why := _wrong_command(span) or _wrong_path(page, span):
            yield f"{page}:{_line(page, found.start())}: {why}"
    for block in blocks(page):
        if why := _wrong_block(block):
            yield f"{page}:{block.line}: {why}"


def _line(page: str, place: int) -> int:
    return prose_of(page).count("\n", 0, place) + 1


def _wrong_link(page: str, target: str) -> str:
    if re.match(r"[a-z]+:", target):
        return ""
    path, _, anchor = target.partition("#")
    leads_to = str((ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT)) if path else page
    if leads_to not in tracked():
        return f"no such file: {target}"
    if anchor and (not leads_to.endswith(".md") or anchor not in anchors(leads_to)):
        return f"no such heading: {target}"
    return ""


def _wrong_path(page: str, span: str) -> str:
    """Why a span that looks like a path of the repository is none; empty where it is one, or does not look so."""
    if not _PATH.fullmatch(span):
        return ""
    path = span.rstrip("/")
    first, _, below = path.partition("/")
    begins_here = (below or span.endswith("/")) and (first in tracked() or f"{Path(page).parent}/{first}" in tracked())
    if not begins_here and not path.endswith(NAMED):
        return ""
    pattern = re.sub(r"<\w+>|\\\*", "[^/]*", re.escape(path).replace(r"<", "<").replace(r">", ">"))
    places = {pattern, re.escape(str(Path(page).parent)) + "/" + pattern}
    if not begins_here:
        places.add(r"(.*/)?" + pattern)
    if any(re.fullmatch(place, name) for place in places for name in tracked()):
        return ""
    return f"no such path: {span}"


def _wrong_block(block: Block) -> str:
    if block.language not in PLAYED | SHOWN | {"bash"}:
        return f"an example in {block.language or 'no language'}: say one of {', '.join(sorted(PLAYED | SHOWN))}"
    if block.language == "bash" and not block.reason_not_run:
        return "sh is run, bash is not: say which, or why not (`no-run: why`)"
    if block.says.startswith("no-run") and not block.reason_not_run:
        return "say why it is not run (`no-run: why`)"
    if block.language in {"sh", "bash"}:
        return next(filter(None, (_wrong_command(line) for line in block.text.splitlines())), "")
    return ""


def _wrong_command(span: str) -> str:
    """Why a command line of `upline` or `make` is none; empty where it is one, or another command."""
    words = _words(span)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        del words[0]
    name = words[0].removeprefix(".venv/bin/") if words else ""
    if name == "make":
        unknown = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and word not in _make_targets()]
        return f"no such target: make {unknown[0]}" if unknown and not words[1].startswith("-") else ""
    return _wrong_upline(words[1:]) if name == "upline" and len(words) > 1 else ""


def _words(span: str) -> list[str]:
    try:
        return shlex.split(span.replace("`", ""), comments=True)
    except ValueError:
        return []


def _wrong_upline(words: list[str]) -> str:
    command: Any = _upline()
    path = "upline"
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if not re.fullmatch(r"[a-z-]+", words[0]):  # COMMAND, or …: a placeholder
            return ""
        if words[0] not in command.commands:
            return f"no such command: {path} {words[0]}"
        command = command.commands[words[0]]
        path += f" {words.pop(0)}"
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    options = [word.partition("=")[0].rstrip(",.;:)") for word in words if re.match(r"--?[a-z]", word)]
    return next((f"no such option: {path} {option}" for option in options if option not in known), "")


@cache
def _upline() -> Any:
    import typer

    from cli.__main__ import app

    return typer.main.get_command(app)


@cache
def _make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _pages_in_code() -> Iterator[str]:
    for name in sorted(tracked()):
        path = ROOT / name
        if name.endswith(".md") or not path.is_file() or path.suffix not in {*NAMED, ".yaml", ".yml", ".toml", ""}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            for page in _PAGE_IN_CODE.findall(line):
                if page not in tracked():
                    yield f"{name}:{number}: no such page: {page}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
