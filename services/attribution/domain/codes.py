"""Referral codes, and the ids of links: short texts that nobody can guess, or that somebody chose."""

import re

ALPHABET = "CDFGHJKMNPQRTWXY3479"
"""The letters of codes that are drawn. None looks like another (0 O, 1 I L, 2 Z, 5 S, 6 G in poor type, 8 B, U V), and
there are no vowels, so that no words arise."""
CODE_CHARS = 12
"""The length of codes that are drawn: 20 letters to the 12th are 51 bits. With a million codes out, one guess in four
thousand million hits one."""
LINK_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""The characters of link ids: Crockford's base 32 has none that messengers cut off or Markdown eats."""
LINK_ID_CHARS = 18
"""The length of link ids, which have 90 bits."""
ENTROPY_BYTES = 16
"""The number of random bytes that one code or link id is made of; more than it holds, so that the remainder's bias is
below 2^-38."""
_CODE = re.compile(r"[A-Z0-9-]{3,32}")
_LINK_ID = re.compile(f"[{LINK_ID_ALPHABET}]{{{LINK_ID_CHARS}}}")


def normalise(code: str) -> str:
    """The one spelling of a code: upper case, without space around it. A text that is no code comes back as no code."""
    return code.strip().upper() if code.isascii() else code


def is_code(normalised: str) -> bool:
    """Whether a text can be a code at all: 3 to 32 of A–Z, 0–9 and hyphens."""
    return _CODE.fullmatch(normalised) is not None


def is_link_id(text: str) -> bool:
    """Whether a text can be the id of a link made here."""
    return _LINK_ID.fullmatch(text) is not None


def generate_code(entropy: bytes) -> str:
    """Makes a code out of ENTROPY_BYTES random bytes."""
    return _drawn(entropy, ALPHABET, CODE_CHARS)


def generate_link_id(entropy: bytes) -> str:
    """Makes a link id out of ENTROPY_BYTES random bytes."""
    return _drawn(entropy, LINK_ID_ALPHABET, LINK_ID_CHARS)


def _drawn(entropy: bytes, alphabet: str, length: int) -> str:
    if len(entropy) < ENTROPY_BYTES:
        raise ValueError(f"needs {ENTROPY_BYTES} random bytes")
    number = int.from_bytes(entropy)
    drawn = []
    for _ in range(length):
        number, index = divmod(number, len(alphabet))
        drawn.append(alphabet[index])
    return "".join(drawn)
