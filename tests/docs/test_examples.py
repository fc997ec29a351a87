"""Every command, program and query that the docs show does what the page says, on a stack of the test's own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.connection import StackChoice, open_database
from tests.e2e.stacks import Up, environment, up, upline
from tools.check_docs import ROOT, Block, blocks, pages

RUN = {"sh", "python", "sql"}
NAME = re.compile(r"# (\S+\.yaml)\n")
"""The first line of an example that is a file: commands of its page find it by that name."""
SECONDS = 300.0
PAGES = [page for page in pages() if any(each.language in RUN and not each.reason_not_run for each in blocks(page))]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack in a folder that looks like the repository, as somebody has it who followed the README."""
    folder = Path(tmp_path_factory.mktemp("docs"))
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".upline"}:
            (folder / entry.name).symlink_to(entry)
    with up(folder / ".upline") as running:
        upline("apply", "programs/uds.yaml", state=running.state)
        yield running


def test_there_are_examples() -> None:
    assert {"README.md", "docs/guides/integrate.md", "docs/guides/write-a-plan.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, stack: Up) -> None:
    folder, output = stack.state.parent, ""
    for block in blocks(page):
        if block.language == "yaml" and (named := NAME.match(block.text)):
            (folder / named[1]).write_text(block.text)
        if block.language in RUN and not block.reason_not_run:
            output = _query(block, stack) if block.language == "sql" else _run(block, stack)
        if block.says == "output":
            for line in block.text.splitlines():
                assert re.search(re.escape(line).replace("…", ".*"), output), f"{page}:{block.line}: {line}\n{output}"


def _run(block: Block, stack: Up) -> str:
    """Output of the commands, which talk to this stack wherever they name the usual addresses."""
    told = block.text
    for address, usual in zip(_addresses(stack), ("7101", "7102", "7103"), strict=True):
        told = told.replace(f"127.0.0.1:{usual}", address)
    command = [sys.executable, "-c", told] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", told]
    binaries = str(Path(sys.executable).parent)
    result = subprocess.run(
        command,
        cwd=stack.state.parent,
        env=environment() | {"PATH": f"{binaries}:{os.environ['PATH']}", "VIRTUAL_ENV": str(Path(binaries).parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, f"{block.page}:{block.line}: {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def _addresses(stack: Up) -> list[str]:
    return [stack.published["services"][service] for service in ("attribution", "rewards", "notify")]


def _query(block: Block, stack: Up) -> str:
    """Rows of the last statement, as the owner of the database sees them."""
    with open_database(StackChoice(stack.state)) as url, psycopg.connect(url) as connection:
        cursor = connection.cursor()
        for statement in block.text.split(";"):
            cursor.execute(statement.encode())
        return "\n".join(map(str, cursor)) if cursor.description else ""
