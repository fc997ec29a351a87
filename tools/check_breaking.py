"""Fails where the contracts break callers of main: `buf breaking` against the newest other state of protos/ on main.

On a branch that is what it started from; on main itself, with nothing changed, the state before the last change.
"""

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"
MAIN = ("origin/main", "main")


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs git in the repository."""
    # Git refuses a checkout that belongs to another user, as in a container; whoever runs this already trusts what is
    # in it.
    return subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, check=False, capture_output=True)


def git_output(*arguments: str) -> str:
    """The output of git. Raises RuntimeError where it fails."""
    result = git(*arguments)
    if result.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {result.stderr.decode().strip()}")
    return result.stdout.decode().strip()


def branching_point() -> str:
    """The newest commit that HEAD shares with main; HEAD itself where there is no main."""
    for main in MAIN:
        shared = git("merge-base", "HEAD", main)
        if shared.returncode == 0:
            return shared.stdout.decode().strip()
    return git_output("rev-parse", "HEAD")


def other_state() -> str | None:
    """The newest commit on main, up to the branching point, whose protos are not those of the working tree."""
    changes = git_output("rev-list", "--first-parent", branching_point(), "--", "protos").split()
    for commit in changes:
        has_protos = git("cat-file", "-e", f"{commit}:protos").returncode == 0
        if has_protos and git("diff", "--quiet", commit, "--", "protos").returncode != 0:
            return commit
    return None


def main() -> int:
    """Compares; the exit status is that of buf."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        print("breaking changes: not a git checkout, or no git here: nothing to compare with")
        return 0
    commit = other_state()
    if commit is None:
        print("breaking changes: main has no other state of protos/ yet, nothing to compare with")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        archive = git("archive", "--format=zip", commit, "protos")
        with zipfile.ZipFile(io.BytesIO(archive.stdout)) as protos:
            protos.extractall(folder)
        shutil.copy(ROOT / "buf.yaml", folder)
        result = subprocess.run([BUF, "breaking", "--against", folder], cwd=ROOT, check=False)
    if result.returncode == 0:
        print(f"breaking changes: none since {git_output('log', '-1', '--format=%h (%s)', commit)}")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
