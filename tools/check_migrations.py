"""Fails where a service's migrations are not one line, or where one of them is no longer what it was.

Each is numbered in its file's name and in its revision, after the one before: two changes that take the same number
merge without a conflict, and Alembic then runs only one of them.

Each has its digest in `migrations/SHA256SUMS`. Databases exist that have run it, and none of them runs it again: an
edit would make new databases unlike those. `--write` adds the digests of new migrations and changes no other.
"""

import hashlib
import re
import sys
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent / "services"
SUMS = "SHA256SUMS"
"""The digests of a service's migrations, as `sha256sum` writes and reads them."""
_STATED = re.compile(r"^(revision|down_revision) = (?:\"(\w+)\"|None)", re.MULTILINE)


def problems(migrations: Path) -> list[str]:
    """The faults of one service's migrations, in lines for people."""
    stated, present = _stated_sums(migrations), _present_sums(migrations)
    return [
        *_misnumbered(migrations),
        *(
            f"{migrations / name}: was edited, or taken away: a database that ran it does not run it again; put it back"
            " and write a new one. If no other checkout has it yet, remove its line from "
            f"{migrations / SUMS} and run `make schema`"
            for name, digest in stated.items()
            if present.get(name) != digest
        ),
        *(
            f"{migrations / name}: has no digest in {migrations / SUMS}; `make schema` adds it"
            for name in present.keys() - stated.keys()
        ),
    ]


def add_sums(migrations: Path) -> None:
    """Adds the digests of migrations that have none."""
    sums = _present_sums(migrations) | _stated_sums(migrations)
    (migrations / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def _misnumbered(migrations: Path) -> list[str]:
    found = []
    for number, file in enumerate(sorted(migrations.glob("versions/*.py")), start=1):
        stated = dict(_STATED.findall(file.read_text()))
        wanted = {"revision": f"{number:04}", "down_revision": f"{number - 1:04}" if number > 1 else ""}
        if not file.name.startswith(f"{number:04}_") or stated != wanted:
            told = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
            found.append(f"{file}: is number {number:04}: file name {number:04}_…, {told}")
    return found


def _present_sums(migrations: Path) -> dict[str, str]:
    return {
        str(file.relative_to(migrations)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(migrations.glob("versions/*.py"))
    }


def _stated_sums(migrations: Path) -> dict[str, str]:
    sums = migrations / SUMS
    lines = sums.read_text().splitlines() if sums.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def main() -> int:
    """Tells what is wrong; the exit status is 1 then."""
    every = sorted(each.parent for each in SERVICES.glob("*/migrations/versions"))
    if sys.argv[1:] == ["--write"]:
        for migrations in every:
            add_sums(migrations)
    found = [each for migrations in every for each in problems(migrations)]
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
