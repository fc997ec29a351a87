"""The container installs the versions that were tested."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = {"development": ROOT / "requirements.lock", "container": ROOT / "deploy" / "requirements.lock"}


def pinned(lock: Path) -> dict[str, str]:
    """Name and version of everything in a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_both_locks_agree_on_versions() -> None:
    development, container = pinned(LOCKS["development"]), pinned(LOCKS["container"])
    different = {name: version for name, version in container.items() if development.get(name) != version}
    assert not different, f"run `make lock`: {different}"


def test_the_container_has_every_runtime_dependency_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = {Requirement(each).name for each in project["dependencies"]}
    extras = {
        name: {Requirement(each).name for each in extra} for name, extra in project["optional-dependencies"].items()
    }
    runtime |= extras.pop("backup")
    container = set(pinned(LOCKS["container"]))
    assert runtime <= container
    assert not (set[str]().union(*extras.values()) - runtime) & container


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_locks_name_no_host_and_hash_everything(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    unhashed = [
        entry.split("==")[0]
        for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE)
        if "==" in entry.split("\n")[0] and "--hash=sha256:" not in entry
    ]
    assert not unhashed
