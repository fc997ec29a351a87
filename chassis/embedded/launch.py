"""Starts a server so that it dies with its parent and does not run as root. It is run as a script, in the child, before
exec.

    python launch.py PARENT_PID SIGNAL UID|- PROGRAM [ARGUMENT …]

PostgreSQL refuses to run as root. Under root, the child takes UID but keeps CAP_DAC_OVERRIDE as an ambient capability
(capabilities(7)), because the virtual environment and the state directory may lie beneath a directory that only root
may enter. All this is for Linux only, like the wheels' servers; elsewhere the parent stops its children itself.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop_root(uid: int) -> None:
    """Becomes `uid`, keeping nothing of root but the right to pass through directories that are root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    _succeed(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    wanted = 1 << CAP_DAC_OVERRIDE
    header = _Header(CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)(_Data(wanted, wanted, wanted), _Data(0, 0, 0))
    _succeed(libc.capset(ctypes.byref(header), ctypes.byref(data)))
    _succeed(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Asks the kernel for a signal when the parent ends; changing user clears the wish, so this comes after."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _succeed(libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0))
    if os.getppid() != parent_pid:
        sys.exit("the parent is gone already")


def _succeed(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Prepares the process and becomes the server."""
    parent_pid, signal_number, uid, program, *arguments = sys.argv[1:]
    if uid != "-":
        drop_root(int(uid))
    die_with_parent(int(parent_pid), int(signal_number))
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main()
