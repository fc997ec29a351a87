"""What PostgreSQL cannot hold is refused at the edge."""

from collections.abc import Mapping

from chassis.errors import invalid


def require_plain(path: str, value: str) -> None:
    """INVALID_ARGUMENT if a text holds U+0000, which PostgreSQL's text and jsonb cannot store."""
    if "\x00" in value:
        raise invalid(path, "must not contain the character U+0000")


def require_plain_map(path: str, values: Mapping[str, str]) -> None:
    """`require_plain` for the keys and values of a map."""
    for key, value in values.items():
        if "\x00" in key or "\x00" in value:
            raise invalid(path, "must not contain the character U+0000")
