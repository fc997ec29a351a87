"""The code that docs/guides/integrate.md shows is the code that runs."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = "no-run: `make clients` runs it, with what it needs"
CLIENTS = sorted(script.parent.name for script in ROOT.glob("clients/*/run.sh"))


def test_there_are_clients() -> None:
    assert {"go-plain", "go", "java", "node", "python"} <= set(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_commands_shown_for_a_language_are_those_of_its_client(client: str) -> None:
    commands = (ROOT / "clients" / client / "run.sh").read_text().split("\n\n", 1)[1].strip()
    assert f"```bash {NOT_RUN}\n{commands}\n```" in (ROOT / "docs" / "guides" / "integrate.md").read_text()
    assert f"[{client}]({client})" in (ROOT / "clients" / "README.md").read_text()
