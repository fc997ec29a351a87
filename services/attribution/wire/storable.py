"""Text that PostgreSQL cannot store is refused at the edge."""

from collections.abc import Mapping

from chassis.errors import invalid


def require_storable(path: str, value: str) -> None:
    """Raises INVALID_ARGUMENT if a text holds U+0000, which PostgreSQL's text and jsonb cannot store."""
    if "\x00" in value:
        raise invalid(path, "must not contain the character U+0000")


def require_storable_map(path: str, values: Mapping[str, str]) -> None:
    """Raises INVALID_ARGUMENT if a key or a value of a map holds U+0000."""
    for key, value in values.items():
        if "\x00" in key or "\x00" in value:
            raise invalid(path, "must not contain the character U+0000")
