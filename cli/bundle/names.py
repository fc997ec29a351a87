"""Names of enum values and of fields that were meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from google.protobuf.descriptor import EnumDescriptor

FILE_NAMES = {"upline.rewards.v1.Tier": {"bound": "from"}}
"""Fields that program files have under another name, by message: the older of two names, which a caller in Python
cannot write as a keyword argument."""


def enum_prefix(enum: EnumDescriptor) -> str:
    """The prefix that the style guide puts before every value: `BIND_SOURCE_` for `BindSource`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"


def enum_values(enum: EnumDescriptor) -> dict[str, int]:
    """Every accepted spelling of an enum's values, upper case: full names and names without the prefix."""
    prefix = enum_prefix(enum)
    names = {value.name: value.number for value in enum.values}
    return {name.removeprefix(prefix): number for name, number in names.items()} | names


def short_name(enum: EnumDescriptor, number: int) -> str | int:
    """The name of an enum value without its prefix; the number itself if the enum does not know it."""
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(enum_prefix(enum)) if value else number


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant, or the list of known names if it is short, or nothing."""
    choices = list(known)
    close = get_close_matches(name, choices, n=1, cutoff=0.6)
    longer = [choice for choice in choices if choice.endswith(f"_{name}")]  # `id` of a rule is its `rule_id`
    if close or len(longer) == 1:
        return f'; did you mean "{(close or longer)[0]}"?'
    return f"; known here: {', '.join(choices)}" if 0 < len(choices) <= 12 else ""
