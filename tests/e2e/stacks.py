"""`upline` as a person runs it: in processes of its own, with state directories of the test's own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

READY_SECONDS = 120.0
GONE_SECONDS = 30.0
ANY_PORTS = [text for name in ("attribution", "rewards", "notify", "redirect") for text in (f"--{name}-port", "0")]


def environment() -> dict[str, str]:
    """The caller's without settings of Upline, so that no other stack is found."""
    return {name: text for name, text in os.environ.items() if not name.startswith("UPLINE_")}


def upline(
    *arguments: str,
    state: Path,
    check: bool = True,
    seconds: float = 300.0,
    stdin: str = "",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end, with `stdin` as its standard input and `settings` in its environment."""
    result = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment() | {"UPLINE_STATE": str(state)} | dict(settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if check and result.returncode != 0:
        raise AssertionError(
            f"upline {' '.join(arguments)}: code {result.returncode}\n{result.stdout}\n{result.stderr}"
        )
    return result


@dataclass
class Up:
    """A running `upline up`."""

    process: "subprocess.Popen[bytes]"
    state: Path
    log: Path

    @property
    def published(self) -> dict[str, Any]:
        """The description of itself that it leaves for other commands."""
        stack: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return stack

    def children(self) -> dict[int, str]:
        """Process id and command line of every child."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(entry) == self.process.pid:
                found[int(entry.name)] = _command(entry)
        return found

    def child(self, word: str) -> int:
        """The process id of the one child whose command line holds `word`."""
        (pid,) = [pid for pid, command in self.children().items() if word in command]
        return pid

    def wait_ready(self) -> None:
        """Returns when it says that it is ready."""
        until(lambda: "ready; Ctrl-C" in self.log.read_text() or self.process.poll() is not None, READY_SECONDS)
        assert self.process.poll() is None, self.log.read_text()

    def stop(self) -> int:
        """Asks it to stop; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def up(state: Path, *options: str, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Up]:
    """A stack on free ports, with `settings` in its environment, ready; killed at the end if it still runs."""
    log = state.with_name(f"{state.name}-{time.monotonic_ns()}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--state", str(state), *ANY_PORTS, *options],
            env=environment() | dict(settings),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    running = Up(process, state, log)
    try:
        running.wait_ready()
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def until(done: Callable[[], bool], seconds: float) -> None:
    """Returns when `done` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true in {seconds} seconds")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
