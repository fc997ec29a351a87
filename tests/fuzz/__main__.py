"""The long version, as a command. Its last line is a JSON summary; it ends with code 1 if anything is wrong.

A call that is not answered as it should be is printed with its number, request and bytes as soon as it comes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from chassis.embedded.state import free_port
from tests.e2e.stacks import up
from tests.fuzz.run import run


def main() -> None:
    """Reads the options, runs, tells."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4, help="callers at once; with 1, the seed decides more")
    parser.add_argument(
        "--record", type=Path, help="where each call is recorded; by default beside other temporary files"
    )
    parser.add_argument("--again", type=Path, help="a record whose requests are sent again, one by one")
    parser.add_argument("--state", type=Path, help="state directory, kept; by default a temporary one")
    options = parser.parse_args()
    record = options.record or Path(tempfile.gettempdir()) / f"upline-fuzz-{options.seed}.jsonl.gz"
    print(f"every call is recorded in {record}", file=sys.stderr)  # noqa: T201 - progress of a command
    with (
        tempfile.TemporaryDirectory(prefix="upline-fuzz-") as folder,
        up(options.state or Path(folder) / "state", "--metrics-port", str(free_port())) as stack,
    ):
        summary = asyncio.run(run(stack, options.seed, options.clients, record, options.calls, options.again))
        stack.stop()
    print(json.dumps(asdict(summary)))  # noqa: T201 - the result of a command
    sys.exit(1 if summary.wrong else 0)


if __name__ == "__main__":
    main()
