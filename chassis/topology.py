"""The streams between the services, and who reads them. They are named once, and every process that uses one ensures
that it exists."""

from dataclasses import dataclass
from typing import Final

BROKER_NAME: Final = "broker"
"""The name under which health tells of the broker, beside the names of gRPC services and the empty one for a process as
a whole."""
CONSUMING_NAME: Final = "consuming"
"""The name under which health tells whether the events that wait for a process are worked on."""
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A JetStream stream with file storage, interest retention and `discard: new`: a full stream refuses, it never
    forgets."""

    name: str
    subject: str
    consumers: tuple[str, ...]
    """The durable consumers: a message is kept until each has acknowledged it."""
    max_bytes: int


def reconcile_subject(consumer: str) -> str:
    """The subject under which a consumer is asked what it has settled. No stream stores it."""
    return f"upline.reconcile.{consumer}"


CLICKS: Final = StreamSpec("CLICKS", "upline.clicks", ("click_writer",), _GIB)
CONVERSIONS: Final = StreamSpec("CONVERSIONS", "upline.conversions", ("rewards",), _GIB)
PEOPLE: Final = StreamSpec("PEOPLE", "upline.people", (), _GIB)
"""Nobody reads it yet: the broker takes what is published and keeps nothing of it."""
REWARDS: Final = StreamSpec("REWARDS", "upline.rewards", ("notify",), _GIB)
