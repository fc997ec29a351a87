"""The day partitions of clicks, as one process knows them."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date

from chassis.database import Database
from services.attribution.store.clicks import day_date, drop_partitions, ensure_partitions


@dataclass(slots=True)
class ClickPartitions:
    """Makes and drops partitions, and remembers those that it has seen, so that few batches of clicks need to ask."""

    database: Database
    _seen: set[int] = field(default_factory=set)
    """Days, counted from 1970, whose partition was there when this process last looked."""

    async def ensure_unseen(self, days: AbstractSet[int]) -> None:
        """Makes the partitions of those days that this process has not seen."""
        if unseen := days - self._seen:
            await self.ensure(unseen)

    async def ensure(self, days: AbstractSet[int]) -> None:
        """Makes the partitions of the days that have none, although this process may have seen them before."""
        async with self.database.transaction() as conn:
            await ensure_partitions(conn, days)
        self._seen |= days

    async def drop_before(self, first_kept: date) -> int:
        """Drops the partitions of earlier days and returns how many."""
        async with self.database.transaction() as conn:
            dropped = await drop_partitions(conn, first_kept)
        if dropped:
            self._seen = {day for day in self._seen if day_date(day) >= first_kept}
        return dropped
