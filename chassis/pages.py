"""Page tokens (AIP-158): opaque to the caller, bound to the request they continue."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message as ProtoMessage

from chassis.errors import invalid

DEFAULT_PAGE_SIZE = 100
_MAC_BYTES = 12


@dataclass(frozen=True, slots=True)
class Pager:
    """Makes and reads page tokens with a key of the deployment."""

    key: bytes

    def token(self, request: ProtoMessage, position: list[Any]) -> str:
        """A token for the page after `position` (JSON values)."""
        body = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(request, body) + body).decode().rstrip("=")

    def position(self, request: ProtoMessage, token: str) -> list[Any] | None:
        """The position in a token, None for an empty one. INVALID_ARGUMENT if it was not made for this query."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise invalid("page_token", "is not a page token", "INVALID_PAGE_TOKEN") from error
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(request, body)):
            raise invalid("page_token", "was not made for this request", "INVALID_PAGE_TOKEN")
        position: list[Any] = json.loads(body)
        return position

    def _mac(self, request: ProtoMessage, body: bytes) -> bytes:
        query = type(request)()
        query.CopyFrom(request)
        for name in ("page_token", "page_size"):
            query.ClearField(name)
        content = query.DESCRIPTOR.full_name.encode() + query.SerializeToString(deterministic=True) + body
        return hmac.digest(self.key, content, hashlib.sha256)[:_MAC_BYTES]


def page_size(requested: int, default: int = DEFAULT_PAGE_SIZE) -> int:
    """The page size to use; the contracts bound `requested` to 0 … 1,000."""
    return requested or default
