"""`tools/check_prose.py` finds what breaks the rules of texts, and nothing else."""

import pytest

from tools.check_prose import LONGEST_LINE, all_faults, faults

HE, HIS = "h" + "e", "h" + "is"
LONG = "x " * (LONGEST_LINE // 2) + "y"


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("programs/one.md", f"# One\n\n{LONG}\n", [("long", 3)]),
        ("programs/one.md", f"```sh\n{LONG}\n```\n", [("long", 2)]),
        ("protos/one.proto", f"// {LONG}\n", [("long", 1)]),
        ("Makefile", f"all: ## {LONG}\n", [("long", 1)]),
        ("services/one.py", '"""What a module says."""\n', [("what", 1)]),
        ("services/one.py", 'def f():\n    """What it does."""\n', [("what", 2)]),
        ("services/one.py", 'class One:\n    number: int\n    """What is counted."""\n', [("what", 3)]),
        ("services/one.py", f'"""A module.\n\nIts caller gets {HIS} answer.\n"""\n', [("pronoun", 3)]),
        ("services/one.py", f"number = 1  # {HE} counts\n", [("pronoun", 1)]),
        ("services/one.py", f'raise ValueError(f"{{name}} sends {HIS} own gift")\n', [("pronoun", 1)]),
        ("programs/one.md", f"{HE.title()} buys.\n", [("pronoun", 1)]),
        ("programs/one.yaml", f"- note: a friend of {HIS}\n", [("pronoun", 1)]),
        ("services/one.py", f'"""A module."""\n\nWhat = 1\n{HE} = 2\n', []),
        ("programs/one.md", f"| {LONG} |\n", []),
        ("programs/one.md", f"```yaml\n{LONG}\n```\nShe says what this history means.\n", []),
        ("programs/one.yaml", f"- {LONG}\n", []),
    ],
)
def test_it_finds_faults(path: str, text: str, found: list[tuple[str, int]]) -> None:
    assert [(each.rule, each.line) for each in faults(path, text)] == found


def test_the_project_has_none() -> None:
    assert all_faults() == []
