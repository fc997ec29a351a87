"""Drills on a running compose stack, with Docker: not part of the suite, see `make compose-drill`."""
