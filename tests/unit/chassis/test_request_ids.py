"""When a request id was made, where it says so."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.idempotency import id_make_time
from chassis.ids import id_at

THEN = datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_a_uuid_of_version_7_says_when_it_was_made() -> None:
    made = str(id_at(THEN))
    assert id_make_time(made) == THEN
    assert id_make_time(made.upper()) == THEN


@pytest.mark.parametrize(
    "other",
    [
        "",
        "enrol-anna",
        str(uuid4()),
        id_at(THEN).hex,  # random hexadecimal digits look like it once in 64 times
        f"{{{id_at(THEN)}}}",
        f"urn:uuid:{id_at(THEN)}",
        str(id_at(datetime(2019, 12, 31, tzinfo=UTC))),
        str(UUID(int=(2**48 - 1) << 80 | 7 << 76 | 2 << 62)),  # of the year 10889
    ],
    ids=["none", "words", "random", "no hyphens", "braces", "a URN", "of 2019", "of the year 10889"],
)
def test_any_other_id_says_nothing(other: str) -> None:
    assert id_make_time(other) is None
