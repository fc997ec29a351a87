"""Click tokens: a signed statement that a click happened, so that a conversion which carries one needs no look-up.

Layout: version (1 byte), click id (16), time in microseconds since 1970 (8), length of the program id (1), program id,
link id, MAC (16); all of it in URL-safe base64 without padding.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from uuid import UUID

_VERSION = 1
_MAC_BYTES = 16
"""The length of the MAC: 128 bits of BLAKE2b's keyed mode (RFC 7693 §2.9) are as strong as HMAC-SHA256 cut to them, at
half of its cost."""
_PERSON = b"upline click"
"""Goes into the MAC, so that a signature made elsewhere with the same key can never be a token."""
_HEAD = Struct(">B16sQB")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_CHARS = 512
"""The length above which no text is worth decoding: it is longer than any token made here."""
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class InvalidTokenError(ValueError):
    """The text is no token of this deployment: malformed, forged, cut off or of another key."""


@dataclass(frozen=True, slots=True)
class ClickToken:
    """The statement of a token."""

    program_id: str
    link_id: str
    click_id: UUID
    clicked_at: datetime
    """The time of the click: aware, in UTC, to the microsecond, not before 1970."""


def sign(key: bytes, token: ClickToken) -> str:
    """The token as text for a URL."""
    clicked_at_us = (token.clicked_at - _EPOCH) // _MICROSECOND
    return sign_parts(key, token.program_id, token.link_id, token.click_id.bytes, clicked_at_us)


def sign_parts(key: bytes, program_id: str, link_id: str, click_id: bytes, clicked_at_us: int) -> str:
    """The token as text, for a caller that holds its parts already: the intake makes one token a click."""
    program = program_id.encode()
    body = _HEAD.pack(_VERSION, click_id, clicked_at_us, len(program)) + program + link_id.encode()
    signed = body + _mac(key, body)
    return b2a_base64(signed, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def read(key: bytes, text: str) -> ClickToken:
    """The statement of a token made with `key`. Raises InvalidTokenError for everything else."""
    signed = _decoded(text)
    body, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
    if len(body) < _HEAD.size or not compare_digest(mac, _mac(key, body)):
        raise InvalidTokenError("not a click token of this deployment")
    version, click_id, clicked_at_us, program_bytes = _HEAD.unpack_from(body)
    if version != _VERSION:
        raise InvalidTokenError(f"click token of unknown version {version}")
    names = body[_HEAD.size :]
    return ClickToken(
        program_id=names[:program_bytes].decode(),
        link_id=names[program_bytes:].decode(),
        click_id=UUID(bytes=click_id),
        clicked_at=_EPOCH + clicked_at_us * _MICROSECOND,
    )


def _mac(key: bytes, body: bytes) -> bytes:
    return blake2b(body, digest_size=_MAC_BYTES, key=key, person=_PERSON).digest()


def _decoded(text: str) -> bytes:
    """The bytes of a text, if it is the one and only way to write them."""
    if len(text) > _MAX_CHARS or not text.isascii():
        raise InvalidTokenError("not a click token")
    encoded = text.encode()
    try:
        signed = a2b_base64(encoded.translate(_FROM_URL) + b"=" * (-len(encoded) % 4), strict_mode=True)
    except Base64Error as error:
        raise InvalidTokenError("not a click token") from error
    if b2a_base64(signed, newline=False).translate(_TO_URL).rstrip(b"=") != encoded:
        raise InvalidTokenError("not a click token")
    return signed
