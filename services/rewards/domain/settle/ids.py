"""Ids of rewards and transfers, and the causes that they name. They follow from what they are about, so a replay makes
the same."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.decide.decision import slot_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_ORDINAL_BITS = 16
_HASH_BITS = 58
PREFIX_DIGITS = 28
FIRST_POSITION, LAST_POSITION = "0000", "ffff"


def id_prefix(time: datetime, *names: str) -> str:
    """The first 28 hexadecimal digits of UUIDv8s (RFC 9562 §5.8): 48 bits of time, 58 bits of a hash of `names`, with
    the version and the variant between them. The last four digits tell apart the ids of the same names.

    The same names at the same time give the same ids, so a replay gives the same ledger, and a conversion's rewards
    are neighbours in the index.

    """
    digest = int.from_bytes(hashlib.blake2b("\x1f".join(names).encode(), digest_size=8).digest())
    tail = (digest >> (64 - _HASH_BITS)) << _ORDINAL_BITS
    high = ((time - _EPOCH) // _MILLISECOND & 0xFFFF_FFFF_FFFF) << 16 | 0x8000 | tail >> 62
    return f"{high << 64 | 0x8000_0000_0000_0000 | tail & 0x3FFF_FFFF_FFFF_FFFF:032x}"[:PREFIX_DIGITS]


def reward_prefix(conversion: Conversion) -> str:
    """The first digits of the ids of the conversion's rewards."""
    return _reward_prefix(conversion.record_time, conversion.program_id, conversion.conversion_id)


@lru_cache(maxsize=4_096)  # asked for by the conversion's row, its rewards, and what is taken back of them
def _reward_prefix(record_time: datetime, program_id: str, conversion_id: str) -> str:
    return id_prefix(record_time, program_id, "conversion", conversion_id)


def first_reward_id(reward_id: str) -> str:
    """The first id a reward of the same conversion can have."""
    return reward_id[:PREFIX_DIGITS] + FIRST_POSITION


@cache
def position(ordinal: int, level: int, is_share: bool) -> str:
    """The last digits of the id of a reward, by its rule's ordinal and its level. The ids of its transfers end
    alike."""
    return f"{slot_of(ordinal, level, is_share):04x}"


def conversion_cause(program_id: str, conversion_id: str) -> str:
    """The id of the event that a conversion was recorded."""
    return f"conversion:{program_id}/{conversion_id}"


def reversal_cause(program_id: str, reversal_id: str) -> str:
    """The id of the event that a conversion was taken back."""
    return f"reversal:{program_id}/{reversal_id}"


def release_cause(program_id: str, conversion_id: str, due_time: datetime) -> str:
    """The id of the event that a hold ended."""
    return f"release:{program_id}/{conversion_id}/{(due_time - _EPOCH) // _MICROSECOND}"


def sibling_transfer_id(reversal: Reversal, what: str, transfer_id: str) -> str:
    """The id of another transfer of a reversal, for the reward of a transfer that there is."""
    prefix = id_prefix(reversal.record_time, reversal.program_id, what, reversal.reversal_id)
    return prefix + transfer_id[PREFIX_DIGITS:]
