"""The tree of sponsors. A bind is for ever, so whatever is known of an upline stays true; it can only grow at its far
end."""

from collections.abc import Mapping

PATH_LEVELS = 64
"""The number of ancestors kept with a participant and sent with an event: more levels than any plan pays, and one row
stays small."""


class CycleError(ValueError):
    """The bind would make somebody their own ancestor."""


class Forest:
    """The part of a tree that a batch looks at, as it grows while the batch is decided.

    Keys are the store's. A path is nearest ancestor first and reaches the root or PATH_LEVELS ancestors.
    """

    def __init__(self, paths: Mapping[int, tuple[int, ...]], roots: Mapping[int, int]) -> None:
        self._paths = dict(paths)
        self._roots = dict(roots)
        self._bound: dict[int, tuple[int, ...]] = {}
        self._sponsors: dict[int, int] = {}

    def plant(self, key: int) -> None:
        """Adds somebody new, without a sponsor yet."""
        self._paths[key] = ()
        self._roots[key] = key

    def bind(self, key: int, sponsor_key: int) -> None:
        """Binds a root to a sponsor. Raises CycleError; the sponsor's root must be known."""
        if self.is_above(key, sponsor_key):
            raise CycleError("the sponsor stands in the downline of the one to be bound")
        self._paths[key] = self._bound[key] = (sponsor_key, *self.path(sponsor_key))[:PATH_LEVELS]
        self._sponsors[key] = sponsor_key

    def graft(self, key: int, sponsor_key: int) -> None:
        """Binds somebody planted in this batch: nobody is below them, so no cycle can close and no root is asked
        for."""
        self._paths[key] = (sponsor_key, *self.path(sponsor_key))[:PATH_LEVELS]
        del self._roots[key]
        self._sponsors[key] = sponsor_key

    def path(self, key: int) -> tuple[int, ...]:
        """The nearest ancestors of somebody, binds of this batch included."""
        path = self._paths[key]
        while path and len(path) < PATH_LEVELS and (more := self._bound.get(path[-1])):
            path = (*path, *more)[:PATH_LEVELS]
        return path

    def is_above(self, root_key: int, key: int) -> bool:
        """Whether `root_key`, who has no sponsor, is `key` or an ancestor of `key`."""
        while True:
            key = self._roots.get(key, key)
            if key not in self._sponsors:
                return key == root_key
            key = self._sponsors[key]
