"""Processes as the kernel shows them: identity, signals by pidfd, and every member of a tree."""

from __future__ import annotations

import os
import signal

TAG_VARIABLE = "REFNET_INSTANCE"


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        return stream.read().strip()


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            content = stream.read()
    except OSError:
        return None
    return content[content.rindex(b")") + 2 :].decode("ascii").split()


def start_ticks(pid: int, *, or_zombie: bool = False) -> int | None:
    """Return when the process started in kernel ticks; None for a zombie or no process."""
    fields = _stat(pid)
    if fields is None or (fields[0] in "ZX" and not or_zombie):
        return None
    return int(fields[19])


def is_alive(pid: int, ticks: int) -> bool:
    """Return whether this very process, and no later one with its number, still runs."""
    return pid > 0 and start_ticks(pid) == ticks


def open_identity(pid: int, ticks: int) -> int | None:
    """Return a pidfd of this very process, or None when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    # Compared after opening: from here on the number can no longer mean another process.
    if start_ticks(pid) == ticks:
        return pidfd
    os.close(pidfd)
    return None


def send_signal(pid: int, ticks: int, number: int) -> bool:
    """Send a signal to this very process; False when it is gone."""
    pidfd = open_identity(pid, ticks)
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def all_pids() -> list[int]:
    """Return the number of every process on the machine that we can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            return [int(word) for word in stream.read().split()]
    except FileNotFoundError:
        return _children_by_scan(pid) if os.path.exists(f"/proc/{pid}") else []
    except OSError:
        return []


def _children_by_scan(parent: int) -> list[int]:
    found = []
    for pid in all_pids():
        fields = _stat(pid)
        if fields is not None and int(fields[1]) == parent:
            found.append(pid)
    return found


def descendants_of(pid: int) -> list[int]:
    """Return every process below this one, without itself."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in children_of(waiting.pop()):
            if child not in found:
                found.append(child)
                waiting.append(child)
    return found


def tagged(tag: str) -> list[int]:
    """Return every living process that was started with this tag in its environment."""
    entry = f"{TAG_VARIABLE}={tag}".encode()
    found = []
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                environment = stream.read()
        except OSError:
            continue
        if entry in environment and entry in environment.split(b"\0"):
            found.append(pid)
    return found


def session_members(session: int, leader_ticks: int) -> list[int]:
    """Return the living members of a session, none when its number now belongs to a stranger."""
    leader = start_ticks(session)
    if leader is not None and leader != leader_ticks:
        return []
    found = []
    for pid in all_pids():
        fields = _stat(pid)
        if fields is not None and int(fields[3]) == session and int(fields[19]) >= leader_ticks:
            found.append(pid)
    return found


def holders_of(path: str) -> list[int]:
    """Return every process that has this file open; slow, for what no other search found."""
    try:
        wanted = os.stat(path)
    except OSError:
        return []
    found = []
    for pid in all_pids():
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                status = os.stat(f"/proc/{pid}/fd/{descriptor}")
                if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(pid)
                    break
        except OSError:
            continue
    return found


def find_leader(tag: str, lock: str) -> tuple[int, int] | None:
    """Return (pid, ticks) of the oldest session leader with the tag or the lock: a lost instance's main process."""
    leaders = []
    # The lock as well: a process before its exec has no tag yet, and some overwrite their environment.
    for pid in {*tagged(tag), *holders_of(lock)}:
        fields = _stat(pid)
        if fields is not None and fields[0] not in "ZX" and int(fields[3]) == pid:
            leaders.append((int(fields[19]), pid))
    if not leaders:
        return None
    ticks, pid = min(leaders)
    return pid, ticks


def kill_all(pids: list[int]) -> int:
    """Send SIGKILL to each living process but ourselves; return how many there were."""
    living = 0
    for pid in set(pids):
        ticks = start_ticks(pid)
        if ticks is None or pid in (os.getpid(), 1):
            continue
        try:
            living += send_signal(pid, ticks, signal.SIGKILL)
        except PermissionError:
            living += 1
    return living


def resident_bytes(pids: list[int]) -> int:
    """Return the resident memory of these processes together."""
    pages = 0
    for pid in set(pids):
        try:
            with open(f"/proc/{pid}/statm") as stream:
                pages += int(stream.read().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")
