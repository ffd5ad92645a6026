"""Fork straight into a cgroup of version 2.

A process that joins one later waits for every processor to pass by (an RCU grace period): 12 to 15 ms of each restart.
"""

from __future__ import annotations

import ctypes
import os
import signal

CLONE3 = 435  # the same number on every architecture
CLONE_INTO_CGROUP = 0x200000000  # Linux 5.7

# PyDLL keeps the interpreter's lock over the call: the child must find it held, as after os.fork.
_LIBC = ctypes.PyDLL(None)


class _Arguments(ctypes.Structure):
    """struct clone_args of linux/sched.h; no stack means: go on here with a copy, like fork."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
            "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def fork_into(folder: str | None) -> tuple[int, bool]:
    """Fork and return (pid, whether the child was born in the group); pid is 0 in the child.

    Without a group, or where the kernel or a sandbox refuses, it is an ordinary fork. For a process of one thread only.
    """
    if folder is not None:
        pid = _clone(folder)
        if pid >= 0:
            return pid, True
    return os.fork(), False


def _clone(folder: str) -> int:
    """Return the pid, 0 in the child, or -1 when there is no living child in the group."""
    try:
        group = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    reader, writer = os.pipe2(os.O_CLOEXEC)
    wanted = _Arguments(flags=CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=group)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    pid = int(_LIBC.syscall(ctypes.c_long(CLONE3), ctypes.byref(wanted), size))
    if pid == 0:
        os.write(writer, b".")
    os.close(group)
    os.close(writer)
    # Linux (seen on 6.18) kills at birth who is cloned into a group that was ever told to kill: it then says nothing.
    if pid > 0 and not os.read(reader, 1):
        os.waitpid(pid, 0)
        pid = -1
    os.close(reader)
    return pid
