"""Limits and tree kill by cgroup, where the host lets us; version 2, version 1, or none."""

from __future__ import annotations

import os

CPU_SHARES_OF_ONE = 1024


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def hierarchies() -> dict[str, str]:
    """Return controller → folder under which we may create ours; `unified` is version 2."""
    own: dict[str, str] = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(",") if names else ["unified"]:
            own[name] = path
    found: dict[str, str] = {}
    for line in _read("/proc/mounts").splitlines():
        _, mount, kind, options = line.split()[:4]
        if kind == "cgroup2":
            # Beside us, not below: a version 2 group with processes may not hand out controllers.
            found["unified"] = mount + os.path.dirname(own.get("unified", "/")).rstrip("/")
        elif kind == "cgroup":
            for name in ("memory", "cpu", "pids"):
                if name in options.split(",") and name in own:
                    found[name] = mount + own[name].rstrip("/")
    return found


def joined_by(pid: int, slug: str, name: str) -> dict[str, str]:
    """Return the instance's folders as its process tells them, for when the record of them is lost."""
    ending = f"/refnet-{slug}/{name}"
    paths: dict[str, str] = {}
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if path.endswith(ending):
            paths.update(dict.fromkeys(names.split(",") if names else ["unified"], path))
    found: dict[str, str] = {}
    for line in _read("/proc/mounts").splitlines():
        _, mount, kind, options = line.split()[:4]
        for controller in ["unified"] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []:
            if controller in paths:
                found[controller] = mount + paths[controller]
    return found


def version(groups: dict[str, str]) -> str:
    """Return which kind of cgroup could enforce a memory limit here: cgroup2, cgroup1 or none."""
    unified = groups.get("unified", "")
    if "memory" in _read(f"{unified}/cgroup.controllers").split() and os.access(unified, os.W_OK):
        return "cgroup2"
    if "memory" in groups and os.access(groups["memory"], os.W_OK):
        return "cgroup1"
    return "none"


def create(slug: str, name: str, limits: dict[str, int | None]) -> tuple[str, dict[str, str], list[str]]:
    """Create the instance's groups; return which version limits, the folders and what did not work."""
    groups = hierarchies()
    kind = version(groups)
    made: dict[str, str] = {}
    problems: list[str] = []
    wanted = {limit: value for limit, value in limits.items() if value is not None}
    if kind == "none" and wanted:
        problems.append("no cgroup to limit " + ", ".join(sorted(wanted)))
    if "unified" in groups:
        _create_unified(groups["unified"], slug, name, wanted if kind == "cgroup2" else {}, made, problems)
    if kind == "cgroup1":
        _create_version_1(groups, slug, name, wanted, made, problems)
    return (kind if not problems else "none"), made, problems


def _create_unified(
    base: str, slug: str, name: str, wanted: dict[str, int], made: dict[str, str], problems: list[str]
) -> None:
    folder = f"{base}/refnet-{slug}"
    try:
        os.makedirs(folder, exist_ok=True)
        for controller in ("memory", "cpu", "pids") if wanted else ():
            for parent in (base, folder):
                _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
        _remove_empty(f"{folder}/{name}")
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        made["unified"] = f"{folder}/{name}"
        if "memory_bytes" in wanted:
            _write(f"{folder}/{name}/memory.max", str(wanted["memory_bytes"]))
            _write(f"{folder}/{name}/memory.oom.group", "1")
        if "cpu_shares" in wanted:
            weight = min(max(wanted["cpu_shares"] * 100 // CPU_SHARES_OF_ONE, 1), 10000)
            _write(f"{folder}/{name}/cpu.weight", str(weight))
        if "processes" in wanted:
            _write(f"{folder}/{name}/pids.max", str(wanted["processes"]))
    except OSError as error:
        if wanted:
            problems.append(f"{error.filename or folder}: {error.strerror}")


def _remove_empty(folder: str) -> None:
    # A group that was told to kill does so for ever to those born in it: each start gets a fresh one.
    try:
        os.rmdir(folder)
    except OSError:
        pass


def _create_version_1(
    groups: dict[str, str], slug: str, name: str, wanted: dict[str, int], made: dict[str, str], problems: list[str]
) -> None:
    settings = (
        ("memory", "memory_bytes", "memory.limit_in_bytes"),
        ("cpu", "cpu_shares", "cpu.shares"),
        ("pids", "processes", "pids.max"),
    )
    for controller, limit, setting in settings:
        if limit not in wanted:
            continue
        if controller not in groups:
            problems.append(f"no cgroup controller {controller} for {limit}")
            continue
        folder = f"{groups[controller]}/refnet-{slug}/{name}"
        try:
            os.makedirs(folder, exist_ok=True)
            _write(f"{folder}/{setting}", str(wanted[limit]))
            made[controller] = folder
        except OSError as error:
            problems.append(f"{error.filename or folder}: {error.strerror}")


def join(made: dict[str, str]) -> None:
    """Move the calling process into its groups."""
    for folder in made.values():
        _write(f"{folder}/cgroup.procs", "0")


def members(made: dict[str, str]) -> list[int]:
    """Return every process in the instance's groups."""
    return [int(line) for folder in made.values() for line in _read(f"{folder}/cgroup.procs").split()]


def kill(made: dict[str, str]) -> None:
    """Kill the whole group in one step where the kernel can; the sweep does the rest."""
    if "unified" in made:
        try:
            _write(made["unified"] + "/cgroup.kill", "1")
        except OSError:
            pass


def oom_kills(made: dict[str, str]) -> int:
    """Return how often the kernel killed something in here for want of memory."""
    text = ""
    if "memory" in made:
        text = _read(made["memory"] + "/memory.oom_control")
    elif "unified" in made:
        text = _read(made["unified"] + "/memory.events")
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def memory_bytes(made: dict[str, str]) -> int | None:
    """Return the memory the group holds without page cache, None when no controller counts it."""
    names = ("total_rss", "total_swap") if "memory" in made else ("anon",)
    folder = made.get("memory") or made.get("unified", "")
    found = [int(line.split()[1]) for line in _read(f"{folder}/memory.stat").splitlines() if line.split()[0] in names]
    return sum(found) if found else None


def remove(made: dict[str, str]) -> None:
    """Remove the instance's empty groups and their parents when nothing else is in them."""
    for folder in made.values():
        for path in (folder, os.path.dirname(folder)):
            try:
                os.rmdir(path)
            except OSError:
                break
