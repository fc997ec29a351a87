"""Processes of the bench: a Python module that prints its port when it answers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving(module: str, environment: dict[str, str]) -> Iterator[int]:
    """Runs `python -m module` and yields the port it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], env=os.environ | environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not (line := process.stdout.readline().strip()):
            raise RuntimeError(f"{module} did not start")
        yield int(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
