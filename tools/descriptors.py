"""The contracts as descriptors, with their comments: what generators of documents and schemas read."""

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"


def descriptors() -> FileDescriptorSet:
    """Every proto with its comments, and all that they import."""
    protos = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("upline/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        subprocess.run(
            [
                sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{files('grpc_tools') / '_proto'}",
                "--include_source_info", "--include_imports", f"--descriptor_set_out={out}", *protos,
            ],
            check=True,
        )  # fmt: skip
        return FileDescriptorSet.FromString(out.read_bytes())
