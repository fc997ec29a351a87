"""Generates gen/python from protos/; `--check` fails if what is committed differs."""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "gen" / "python"


def generate(target: Path) -> None:
    """Writes the stubs of every proto under PROTOS into `target`, one package per folder."""
    protos = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    bin_folder = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{well_known}",
            f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
            f"--python_out={target}", f"--grpc_python_out={target}", f"--mypy_out={target}", *protos,
        ],
        check=True,
    )  # fmt: skip
    for stub in target.rglob("*_pb2_grpc.py"):
        if "class " not in stub.read_text():
            stub.unlink()  # protos without services
    for folder in [path for path in target.rglob("*") if path.is_dir()]:
        (folder / "__init__.py").touch()


def differences(left: Path, right: Path) -> list[str]:
    """Files that are not the same in both trees, by path."""
    names = {str(p.relative_to(root)) for root in (left, right) for p in root.rglob("*.py*") if p.suffix != ".pyc"}
    return sorted(
        name
        for name in names
        if not ((left / name).is_file() and (right / name).is_file() and filecmp.cmp(left / name, right / name, False))
    )


def main() -> int:
    """Regenerates, or checks with `--check`; the exit status is 1 if stubs are stale."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if "--check" in sys.argv:
            stale = differences(fresh, STUBS)
            for name in stale:
                print(f"stale stub: gen/python/{name} (run `make protos`)")
            return 1 if stale else 0
        shutil.rmtree(STUBS, ignore_errors=True)
        shutil.copytree(fresh, STUBS)
        STUBS.chmod(0o755)  # the temporary folder was for its owner only, and its mode came along
    return 0


if __name__ == "__main__":
    sys.exit(main())
