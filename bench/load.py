"""A load generator: h2load where it is installed (Debian package nghttp2-client), else a Python client.

h2load is compiled and costs little beside the server. A Python client costs as much as the server it measures, so
figures taken with it are lower; they say so in their note.
"""

import asyncio
import re
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import grpc

CONNECTIONS = 4


def generator() -> str:
    """Which one is used."""
    return "h2load" if shutil.which("h2load") else "python"


async def requests_per_second(port: int, method: str, body: bytes, *, count: int, in_flight: int) -> float:
    """Calls a unary method `count` times with the same serialised request, `in_flight` at a time."""
    if generator() == "h2load":
        return await asyncio.to_thread(_h2load, port, method, body, count, in_flight)
    return await _python(port, method, body, count, in_flight)


def _h2load(port: int, method: str, body: bytes, count: int, in_flight: int) -> float:
    connections = min(CONNECTIONS, in_flight)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "body"
        data.write_bytes(b"\0" + struct.pack(">I", len(body)) + body)
        result = subprocess.run(
            [
                "h2load", "-n", str(count), "-c", str(connections), "-m", str(in_flight // connections), "-t", "1",
                "-d", str(data),
                "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 30S",
                f"http://127.0.0.1:{port}/{method}",
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    done = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded", result.stdout)
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", result.stdout)
    if not done or int(done[1]) != count or not rate:
        raise RuntimeError(f"h2load did not finish: {result.stdout[-1000:]}")
    return float(rate[1])


async def _python(port: int, method: str, body: bytes, count: int, in_flight: int) -> float:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    call = channel.unary_unary(f"/{method}", request_serializer=None, response_deserializer=None)
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call(body, timeout=30)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    seconds = time.perf_counter() - began
    await channel.close(None)
    return count / seconds
