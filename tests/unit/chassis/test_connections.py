"""The sums of connections that operators are told."""

import re
from pathlib import Path

from chassis.database import SHARES, Work
from chassis.embedded.postgres import SETTINGS

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "operate.md"
SUPERUSERS = 3
"""Connections that PostgreSQL keeps for superusers, unless told otherwise."""


def rows() -> list[list[str]]:
    """The cells of both tables about connections."""
    section = GUIDE.read_text().split("### Connections to the database")[1].split("**PgBouncer.**")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]


def test_the_guide_tells_the_connections_of_each_class_and_their_sums() -> None:
    classes = {work: row for work in Work for row in rows() if re.match(rf"{work}\b", row[0])}
    assert classes.keys() == set(Work)
    sums = [0] * (len(rows()[0]) - 3)
    for work, share in SHARES.items():
        assert classes[work][1:3] == [str(share.connections), f"{share.wait_seconds:g} s"]
        for service, uses in enumerate(classes[work][3:]):
            sums[service] += share.connections if uses == "yes" else 0
    (told,) = [row[3:] for row in rows() if "at most, a process" in row[0]]
    assert told == [f"**{each}**" for each in sums]
    for processes, connections in [row for row in rows() if row[0].isdigit()]:
        assert int(connections) == int(processes) * sum(sums)
        assert int(connections) < int(SETTINGS["max_connections"]) - SUPERUSERS
