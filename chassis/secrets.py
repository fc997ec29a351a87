"""Keys for separate purposes, derived from the deployment's one secret."""

import hashlib
import hmac

from pydantic import SecretStr


def derive_key(secret: SecretStr, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose. Whoever learns one key knows nothing of another (HKDF-Expand with one block,
    RFC 5869 §2.3)."""
    return hmac.digest(secret.get_secret_value().encode(), purpose.encode() + b"\x01", hashlib.sha256)
