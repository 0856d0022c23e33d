"""What each process switches off before it reads a secret: core dumps, ptrace, key logs.

Inside one process Python can hide nothing from other code; this keeps others on the machine
out. Root can still read the memory. Called by the commands that start a part, before the
part is imported, since TLS libraries look at the environment when they are imported.
"""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4
_UCRED = struct.Struct("3i")  # unix(7): pid, uid, gid
_KEY_LOGS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


def harden_process() -> None:
    """Switch them off, for this process and the ones it starts."""
    for name in _KEY_LOGS:
        os.environ.pop(name, None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def allow_open_files(wanted: int) -> None:
    """Let this process open as many files as it may need, as far as the system lets us: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def end_with_parent(control_fd: int) -> None:
    """Be told to stop when the supervisor dies, however it dies (prctl(2), PR_SET_PDEATHSIG).

    The supervisor is whoever made the control socket. It may have died before we could ask; it
    may as well be process 1, in a container, so the number of our parent alone tells nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        with socket.socket(fileno=os.dup(control_fd)) as control:
            made_by = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        if os.getppid() != _UCRED.unpack(made_by)[0]:
            os.kill(os.getpid(), signal.SIGTERM)
