"""Where a visitor came from: of the address, only the host is kept, for the rest may say who he is."""

import re

MAX_HOST_CHARS = 253
"""RFC 1035 §2.3.4, without the root's dot."""
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([A-Za-z0-9._-]+)")


def referrer_host(url: str) -> str:
    """The host in lower case; empty if there is none that can be read."""
    found = _HOST.match(url)
    return found[1][:MAX_HOST_CHARS].lower() if found else ""
