"""Whether the broker is to be started again because it does not store, though it could."""

from dataclasses import dataclass

LOOK_SECONDS = 2.0
UNWELL_SECONDS = 5.0
"""The time for which a broker has to say that it is unwell, so that a passing word restarts nothing."""
MIN_FREE_BYTES = 16 * 1024**2
"""The free space with which a restart helps: twice the largest message. With less the disk would be full again at
once."""
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
"""Pauses between restarts double up to this: what a restart does not mend is not mended by many."""


WRITE_ERROR = "write error"
"""A part of what nats-server's /healthz says of a stream that could not be written. Such a stream has been read, and is
not written any more until the broker is restarted."""


@dataclass(slots=True)
class BrokerCare:
    """The state of one broker, and the times of its restarts."""

    was_well: bool = False
    """Whether the broker was well since it was started: until it has read its streams it says that it is unwell, and
    must not be disturbed, unless it says that it could not write."""
    next_look: float = 0.0
    unwell_since: float | None = None
    pause_seconds: float = FIRST_PAUSE_SECONDS
    not_before: float = 0.0

    def note_start(self) -> None:
        """Notes that the broker was started."""
        self.was_well = False
        self.unwell_since = None

    def begin_look(self, now: float) -> bool:
        """Begins a look at the broker if it is time for one, and says so; then `needs_restart` is to be asked."""
        if now < self.next_look:
            return False
        self.next_look = now + LOOK_SECONDS
        return True

    def needs_restart(self, now: float, ailment: str, free_bytes: int) -> bool:
        """Whether the broker has been unwell for long enough, with space, and its last restart is long enough ago."""
        if not ailment:
            self.was_well, self.unwell_since = True, None
            if now >= self.not_before:
                self.pause_seconds = FIRST_PAUSE_SECONDS
            return False
        if self.unwell_since is None:
            self.unwell_since = now
        patient = now - self.unwell_since < UNWELL_SECONDS or now < self.not_before
        starting = not self.was_well and WRITE_ERROR not in ailment
        if starting or patient or free_bytes < MIN_FREE_BYTES:
            return False
        self.not_before = now + self.pause_seconds
        self.pause_seconds = min(2 * self.pause_seconds, LONGEST_PAUSE_SECONDS)
        return True
