"""`tools/check_docs.py` finds what leads nowhere, and nothing else."""

from pathlib import Path

import pytest

from tools import check_docs

PAGE = "one.md"
SHIPPED = {"Makefile", "pages", "pages/two.md", "services", "services/one.py", PAGE}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the repository."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "two.md").write_text("# Two\n\n## The `order` of [things](x)\n\n## Same\n\n## Same\n")
    (tmp_path / "Makefile").write_text("test: setup ## Run\n")
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    monkeypatch.setattr(check_docs, "tracked", lambda: frozenset(SHIPPED))
    for each in (check_docs.text_of, check_docs.prose_of, check_docs.anchors, check_docs._make_targets):
        each.cache_clear()
    return tmp_path / PAGE


@pytest.mark.parametrize(
    "text",
    [
        "[two](pages/two.md#the-order-of-things) [same](pages/two.md#same-1) [out](https://example.org) `[a](b)`",
        "`services/one.py` `one.py` `services/*.py` `services/<service>.py` `and/or` `orders/1` `yours.yaml`",
        "`upline wallet uds maria --json` `upline payouts report PROGRAM PAYOUT --paid` `make test` `make -j2 test`",
        "```sh\nupline apply FILE\n```\n\n```sh no-run: needs Docker\ndocker compose up\n```\n\n```text\nanything\n```",
    ],
)
def test_what_leads_somewhere_is_no_fault(written: Path, text: str) -> None:
    written.write_text(text)
    assert list(check_docs.faults(PAGE)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\n[two](pages/three.md)", "one.md:2: no such file: pages/three.md"),
        ("[two](pages/two.md#threes)", "one.md:1: no such heading: pages/two.md#threes"),
        ("[here](#nowhere)", "one.md:1: no such heading: #nowhere"),
        ("`services/two.py`", "one.md:1: no such path: services/two.py"),
        ("`two.py`", "one.md:1: no such path: two.py"),
        ("`upline walet uds`", "one.md:1: no such command: upline walet"),
        ("`upline payouts report --payed`", "one.md:1: no such option: upline payouts report --payed"),
        ("`make tests`", "one.md:1: no such target: make tests"),
        ("```\nls\n```", "an example in no language"),
        ("```sh no-run\nls\n```", "say why it is not run"),
        ("```bash\nls\n```", "sh is run, bash is not"),
        ("```sh\nupline scenarios x\n```", "one.md:1: no such command: upline scenarios"),
    ],
)
def test_what_leads_nowhere_is_told_with_its_line(written: Path, text: str, fault: str) -> None:
    written.write_text(text)
    (found,) = check_docs.faults(PAGE)
    assert fault in found


def test_code_may_mention_pages_that_exist_only(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "docs/"  # apart from the names, for this file is code too
    monkeypatch.setattr(check_docs, "tracked", lambda: frozenset({"services/one.py", f"{folder}two.md"}))
    (written.parent / "services").mkdir()
    (written.parent / "services" / "one.py").write_text(f"# {folder}two.md\n# {folder}three.md\n")
    assert list(check_docs._pages_in_code()) == [f"services/one.py:2: no such page: {folder}three.md"]
