"""Fails where a service's migrations are not one line: each numbered in its file's name and in its revision, after the
one before.

Two changes that take the same number merge without a conflict, and Alembic then runs only one of them.
"""

import re
import sys
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent / "services"
_STATED = re.compile(r"^(revision|down_revision) = (?:\"(\w+)\"|None)", re.MULTILINE)


def problems(versions: Path) -> list[str]:
    """The faults of one service's migrations, in lines for people."""
    found = []
    for number, file in enumerate(sorted(versions.glob("*.py")), start=1):
        stated = dict(_STATED.findall(file.read_text()))
        wanted = {"revision": f"{number:04}", "down_revision": f"{number - 1:04}" if number > 1 else ""}
        if not file.name.startswith(f"{number:04}_") or stated != wanted:
            told = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
            found.append(f"{file}: is number {number:04}: file name {number:04}_…, {told}")
    return found


def main() -> int:
    """Tells what is wrong; the exit status is 1 then."""
    found = [each for versions in sorted(SERVICES.glob("*/migrations/versions")) for each in problems(versions)]
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
