"""Announcements between replicas: they name the inboxes that have something new. Each is a wake-up, never a fact."""

from collections.abc import Iterable, Iterator

from services.notify.domain.inbox import Inbox

SUBJECT = "upline.notify.written"
DIGEST_BYTES = 8
_DIGESTS_PER_ANNOUNCEMENT = 32_768
"""The most inboxes of one announcement: 256 KiB, a quarter of what the broker takes."""


def announcements(inboxes: Iterable[Inbox]) -> Iterator[bytes]:
    """The payloads of few messages for many inboxes: under a mass payout, one a transaction, 8 bytes an inbox."""
    digests = [each.digest() for each in inboxes]
    for start in range(0, len(digests), _DIGESTS_PER_ANNOUNCEMENT):
        yield b"".join(digests[start : start + _DIGESTS_PER_ANNOUNCEMENT])


def announced(payload: bytes) -> set[bytes]:
    """The digests of the inboxes in an announcement."""
    return {payload[start : start + DIGEST_BYTES] for start in range(0, len(payload), DIGEST_BYTES)}
