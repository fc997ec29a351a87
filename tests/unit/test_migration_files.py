"""`tools/check_migrations.py` refuses what makes one database unlike another, and nothing else."""

from pathlib import Path

import pytest

from tools.check_migrations import SERVICES, add_sums, problems

FIRST = 'revision = "0001"\ndown_revision = None\n'
SECOND = 'revision = "0002"\ndown_revision = "0001"\n'


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """The migrations of a service, of which one was published."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions/0001_tables.py").write_text(FIRST)
    add_sums(tmp_path)
    return tmp_path


def test_it_accepts_what_stands(migrations: Path) -> None:
    assert problems(migrations) == []


@pytest.mark.parametrize("service", ["attribution", "notify", "rewards"])
def test_the_project_has_no_faults(service: str) -> None:
    assert problems(SERVICES / service / "migrations") == []


def test_it_refuses_an_edit(migrations: Path) -> None:
    (migrations / "versions/0001_tables.py").write_text(f'"""Tables."""\n{FIRST}')
    (found,) = problems(migrations)
    assert "0001_tables.py: was edited" in found
    add_sums(migrations)
    assert problems(migrations) == [found]


def test_it_refuses_another_name(migrations: Path) -> None:
    (migrations / "versions/0001_tables.py").rename(migrations / "versions/0001_people.py")
    edited, new = problems(migrations)
    assert "0001_tables.py: was edited, or taken away" in edited
    assert "0001_people.py: has no digest" in new


def test_a_new_one_needs_its_digest(migrations: Path) -> None:
    (migrations / "versions/0002_more.py").write_text(SECOND)
    (found,) = problems(migrations)
    assert "0002_more.py: has no digest" in found
    add_sums(migrations)
    assert problems(migrations) == []


def test_it_refuses_a_number_that_is_taken(migrations: Path) -> None:
    (migrations / "versions/0001_other.py").write_text(FIRST)
    add_sums(migrations)
    (found,) = problems(migrations)
    assert "0001_tables.py: is number 0002" in found
