"""Values that are kept as long as they are used, within a bound."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Values by key, each with a weight. Together they weigh `limit` at most: those that were not used for the longest
    leave first. One that is heavier by itself stays until the next one comes."""

    def __init__(self, limit: int) -> None:
        self.weight = 0
        """The weight of all values."""
        self._limit = limit
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """The value, which is used by that; None if it is not kept."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, weight: int) -> None:
        """Keeps a value, in place of the one that has the key."""
        if (before := self._values.pop(key, None)) is not None:
            self.weight -= before[1]
        self._values[key] = value, weight
        self.weight += weight
        while self.weight > self._limit and len(self._values) > 1:
            _, (_, gone) = self._values.popitem(last=False)
            self.weight -= gone
