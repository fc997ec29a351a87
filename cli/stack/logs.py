"""The logs of the service processes: kept in files, and followed on the terminal."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MAX_LOG_BYTES = 20 * 1024 * 1024
FOLLOW_SECONDS = 0.1

ShowLine = Callable[[str, str], None]
"""A function that takes the name of a process and one of its lines."""


def rotate_log(file: Path) -> None:
    """Puts a log that has grown large aside; the one put aside before goes."""
    if file.exists() and file.stat().st_size > MAX_LOG_BYTES:
        file.replace(file.with_suffix(".log.1"))


class LogFollower:
    """Hands over every line that is added to the logs from now on.

    Processes write to files of their own rather than into pipes: nothing that this process does or fails to do can
    block them.
    """

    def __init__(self, show: ShowLine) -> None:
        self._show = show
        self._streams: dict[str, BinaryIO] = {}
        self._unfinished: dict[str, bytes] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)

    def add(self, name: str, file: Path) -> None:
        """Follows one more file, from its present end. It must be called before `start`."""
        file.touch(mode=0o600)
        stream = file.open("rb")
        stream.seek(0, 2)
        self._streams[name], self._unfinished[name] = stream, b""

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Hands over what is left and ends."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        for stream in self._streams.values():
            stream.close()

    def _run(self) -> None:
        while not self._done.wait(FOLLOW_SECONDS):
            self._read()
        self._read()

    def _read(self) -> None:
        for name, stream in self._streams.items():
            *lines, self._unfinished[name] = (self._unfinished[name] + stream.read()).split(b"\n")
            for line in lines:
                self._show(name, line.decode(errors="replace"))
