"""A server process that dies with its parent."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

from chassis.embedded.state import UNPRIVILEGED_UID

LAUNCHER = Path(__file__).with_name("launch.py")
STOP_SECONDS = 20.0
POLL_SECONDS = 0.03


class Child:
    """A running server, started through the launcher."""

    def __init__(
        self,
        command: list[str],
        log_file: Path,
        *,
        death_signal: signal.Signals,
        stop_signal: signal.Signals,
        drop_root: bool = True,
        environment: dict[str, str] | None = None,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        uid = str(UNPRIVILEGED_UID) if drop_root and os.geteuid() == 0 else "-"
        self._stop_signal = stop_signal
        self.log_file = log_file
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
                # -I -S: the launcher needs the standard library only, and starts in a few milliseconds.
                [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), uid, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=keep_open,
                start_new_session=True,  # Ctrl-C reaches the parent only, which stops its children in order
            )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Asks the server to stop, and kills it if it does not."""
        if self.running:
            self.process.send_signal(self._stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the process at once, as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The end of the server's log, for an error message."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])


class EmbeddedServer(ABC):
    """A server of the stack: what starting, stopping and killing have in common."""

    name: str
    start_seconds: float
    _child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        """The id of the child's process, or of its last one; 0 before the first start."""
        return self._child.process.pid if self._child else 0

    def stop(self) -> None:
        """Stops the server."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """Kills the server at once, as `kill -9` does; its helper processes notice and leave."""
        if self._child:
            self._child.kill()

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it answers now."""

    def _await_answer(self) -> None:
        """Returns when the server answers; raises RuntimeError with the end of its log if it does not."""
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline and self.running:
            if self._answers():
                return
            time.sleep(POLL_SECONDS)
        tail = self._child.log_tail() if self._child else ""
        raise RuntimeError(f"the embedded {self.name} did not start; the end of its log:\n{tail}")
