"""Reasons why a stack does not run."""


class PortTaken(RuntimeError):
    """Something else listens on a port the stack was told to use."""


class StackFailed(RuntimeError):
    """The stack cannot start, or cannot be kept up."""
