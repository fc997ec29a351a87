"""The garbage collection of a process that has started."""

import gc

GC_THRESHOLD = 10_000
"""New containers between two searches for cycles; Python's own is 700. A cycle waits longer, and takes a few MB
meanwhile."""


def freeze_heap() -> None:
    """Takes modules, classes and whatever else a start has made out of all later garbage collections, and makes those
    rarer: nearly all garbage of a call goes by reference count, and looking for cycles took a tenth of a small call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
