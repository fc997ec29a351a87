"""The attribution service in a process of its own, without its click writer.

The writer is measured by itself, and in production it has cores of its own.
"""

from chassis import process
from services.attribution.__main__ import AttributionService


class IntakeService(AttributionService):
    """Answers, and tells its port."""

    async def start(self) -> None:
        """Answers as the service does, and tells its port."""
        await super().start()
        print(self.server.port, flush=True)

    async def run(self) -> None:
        """Answers until cancelled."""
        await self.server.run()


if __name__ == "__main__":
    process.main(IntakeService)
