"""How full each file system is; one that hangs, such as a dead network mount, delays nobody else.

statvfs on a dead mount sleeps in the kernel and cannot be interrupted. So it happens in a thread of its own, which is
left behind when it hangs; the mount is reported with `device_error` and not asked again while it does.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.system.host import Family

_MOUNTS = Path("/proc/self/mounts")
_SKIPPED_PLACES = re.compile(
    r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
)
_SKIPPED_TYPES = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay"
    r"|procfs|proc|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs"
)
_ESCAPED = re.compile(r"\\(\d{3})")
_LABELS = ("device", "fstype", "mountpoint")
_TIMEOUT_SECONDS = 0.5
Space = Callable[[str], os.statvfs_result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted file system."""

    device: str
    fstype: str
    place: str
    is_read_only: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the three labels."""
        return (self.device, self.fstype, self.place)


def mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts worth watching from the text of /proc/self/mounts, each place once."""
    found: dict[tuple[str, str, str], Mount] = {}
    for line in text.splitlines():
        words = (_ESCAPED.sub(lambda found: chr(int(found[1], 8)), word) for word in line.split(" "))
        device, place, fstype, options, *_ = words
        if _SKIPPED_TYPES.fullmatch(fstype) or _SKIPPED_PLACES.match(place):
            continue
        mount = Mount(device=device, fstype=fstype, place=place, is_read_only="ro" in options.split(","))
        found.setdefault((device, fstype, place), mount)
    return tuple(found.values())


class FileSystems:
    """Asks every mount for its space, and remembers which of them still owe an answer."""

    def __init__(self, space: Space = os.statvfs, *, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._space = space
        self._timeout = timeout
        self._hanging: set[str] = set()

    def collect(self) -> Iterator[Family]:
        """Yield the families; takes the timeout once at most for each mount that begins to hang."""
        found = mounts(_MOUNTS.read_text())
        spaces = self._ask([mount.place for mount in found])
        samples: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for mount in found:
            space = spaces.get(mount.place)
            values = {"device_error": float(space is None)}
            if space is not None:
                values |= {
                    "size_bytes": float(space.f_blocks * space.f_frsize),
                    "free_bytes": float(space.f_bfree * space.f_frsize),
                    "avail_bytes": float(space.f_bavail * space.f_frsize),
                    "files": float(space.f_files),
                    "files_free": float(space.f_ffree),
                    "readonly": float(mount.is_read_only),
                }
            for name, value in values.items():
                samples.setdefault(name, []).append((mount.labels, value))
        for name, each in samples.items():
            words = f"Filesystem {name.replace('_', ' ')}."
            yield Family(name=f"node_filesystem_{name}", kind="gauge", help=words, labels=_LABELS, samples=tuple(each))

    def _ask(self, places: list[str]) -> dict[str, os.statvfs_result]:
        answers: dict[str, os.statvfs_result] = {}
        waiting = [place for place in places if place not in self._hanging]
        while waiting:
            asking = _Asking(self._space, tuple(waiting), answers, self._hanging)
            hangs = asking.wait(self._timeout)
            if hangs is None:
                break
            waiting = waiting[waiting.index(hangs) + 1 :]
        return answers


class _Asking:
    """One thread that goes from mount to mount; left to itself when it gets stuck."""

    def __init__(
        self, space: Space, places: tuple[str, ...], answers: dict[str, os.statvfs_result], hanging: set[str]
    ) -> None:
        self._space = space
        self._places = places
        self._answers = answers
        self._hanging = hanging
        self._lock = threading.Lock()
        self._at: str | None = None
        self._since = time.monotonic()
        self._is_left = False
        self._done = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="statvfs").start()

    def wait(self, timeout: float) -> str | None:
        """Return None when every mount has answered, else the one that took longer than the timeout (seconds)."""
        while not self._done.wait(timeout / 10):
            with self._lock:
                if self._at is not None and time.monotonic() - self._since > timeout:
                    self._is_left = True
                    self._hanging.add(self._at)
                    return self._at
        return None

    def _run(self) -> None:
        for place in self._places:
            with self._lock:
                self._at, self._since = place, time.monotonic()
            try:
                answer = self._space(place)
            except OSError:
                answer = None
            with self._lock:
                if self._is_left:
                    # It answers again after all: ask it again next time.
                    self._hanging.discard(place)
                    return
                if answer is not None:
                    self._answers[place] = answer
        self._done.set()
