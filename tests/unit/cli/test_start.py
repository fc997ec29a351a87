"""Every command starts with the imports of all: what is slow to load waits for the command that needs it."""

import subprocess
import sys

SLOW_TO_LOAD = {"aiohttp", "alembic", "nats", "services", "sqlalchemy"}


def test_the_command_line_starts_without_what_few_commands_need() -> None:
    program = "import sys, cli.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "cli.__main__" in loaded
    assert not SLOW_TO_LOAD & {name.partition(".")[0] for name in loaded}
