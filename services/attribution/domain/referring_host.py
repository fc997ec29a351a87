"""The page that a visitor came from: only its host is kept, for the rest of the address may say who they are."""

import re

MAX_HOST_CHARS = 253
"""The length of the longest host name (RFC 1035 §2.3.4), without the root's dot."""
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([A-Za-z0-9._-]+)")


def referrer_host(url: str) -> str:
    """The host of an address, in lower case; empty if there is none that can be read."""
    found = _HOST.match(url)
    return found[1][:MAX_HOST_CHARS].lower() if found else ""
