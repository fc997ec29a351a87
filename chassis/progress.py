"""Whether the work that waits for a consumer gets done: a process may answer whatever it is asked, its database and its
broker too, and yet get nowhere, as where a handler hangs."""

import asyncio
from dataclasses import dataclass, field

STALLED_SECONDS = 40.0
"""So long work waits and none of it gets done before a consumer is said to stand still: longer than waits for locks,
connections and a database that fails over, and with the time between two looks less than a minute."""
FAILING_MESSAGES = 10
"""So many different messages in a row that failed are work that waits, although each of them pauses until it is tried
again. Fewer may be the fault of one program, which stops no other."""


@dataclass(slots=True)
class Progress:
    """The progress of a consumer of this process, as it says itself, for those who look from outside."""

    in_hand: int = 0
    """The messages that it works on."""
    _failed: set[str] = field(default_factory=set)
    """Messages that failed since something was done last, FAILING_MESSAGES at most."""
    _delivered: int = -1
    """The last message that was delivered, to whichever process, at the last look."""
    _began: float | None = None
    """The time of the first look, since something was done last, that found work waiting; None where there was none."""

    def made(self) -> None:
        """Says that something was done: messages acknowledged or set aside, a transaction committed. Also that it is
        known why nothing can be done, of which health tells by itself."""
        self._began = None
        self._failed.clear()

    def failed(self, message_name: str) -> None:
        """Says that a message failed, and will come again."""
        if len(self._failed) < FAILING_MESSAGES:
            self._failed.add(message_name)

    def stalled_seconds(self, undelivered: int, delivered: int) -> float:
        """How long work waits of which nothing gets done; 0 where something does, or none waits.

        `undelivered`: the messages that no process was given yet, `delivered`: the last one that some process was. Work
        that others are given waits for them.
        """
        now = asyncio.get_running_loop().time()
        taken, self._delivered = delivered != self._delivered, delivered
        waits = self.in_hand or (undelivered and not taken) or len(self._failed) == FAILING_MESSAGES
        if not waits:
            self._began = None
        elif self._began is None:
            self._began = now
        return 0.0 if self._began is None else now - self._began
