"""The port behind which channels are."""

from typing import Protocol

from services.notify.domain.delivery import Outgoing, Result


class Channel(Protocol):
    """A way to send deliveries."""

    async def send(self, outgoing: Outgoing) -> Result:
        """Sends a delivery, in a bounded time, and says what came of it. Raises nothing: what goes wrong is a result,
        whose error holds nothing of what was sent."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...
