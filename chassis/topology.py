"""The streams between the services, and who reads them. They are named once, and every process that uses one ensures
that it exists."""

from dataclasses import dataclass
from typing import Final

BROKER_NAME: Final = "broker"
"""The name under which health tells of the broker, beside the names of gRPC services and the empty one for a process as
a whole."""
CONSUMING_NAME: Final = "consuming"
"""The name under which health tells whether the events that wait for a process are worked on."""
SUPPLY_MESSAGES: Final = 64
"""The most messages that wait on the stream of a derived reader; what comes behind them waits in the owner's tables."""
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A JetStream stream with file storage and `discard: new`: a full stream refuses, it never forgets."""

    name: str
    subject: str
    consumers: tuple[str, ...]
    """The durable consumers: a message is kept until each has acknowledged it."""
    max_bytes: int
    is_queue: bool = False
    """Whether it keeps a message for a consumer that is not there, too (work-queue retention). It has only one then."""


def reconcile_subject(consumer: str) -> str:
    """The subject under which a consumer is asked what it has settled. No stream stores it."""
    return f"upline.reconcile.{consumer}"


def supply_stream(spec: StreamSpec, reader: str) -> StreamSpec:
    """The stream on which a derived reader is supplied with what is published on `spec`: nobody else reads it. It has
    room for twice what may wait on it, so that it never refuses."""
    max_bytes = 2 * SUPPLY_MESSAGES * 1024**2
    consumer = f"{reader}_{spec.name.lower()}"
    return StreamSpec(
        f"{spec.name}_{reader.upper()}", f"{spec.subject}.{reader}", (consumer,), max_bytes, is_queue=True
    )


CLICKS: Final = StreamSpec("CLICKS", "upline.clicks", ("click_writer",), _GIB)
CONVERSIONS: Final = StreamSpec("CONVERSIONS", "upline.conversions", ("rewards",), _GIB)
PEOPLE: Final = StreamSpec("PEOPLE", "upline.people", (), _GIB)
"""Nobody reads it yet: the broker takes what is published and keeps nothing of it."""
REWARDS: Final = StreamSpec("REWARDS", "upline.rewards", ("notify",), _GIB)
