"""What the keeper writes down: its record (atomic), and one line per event."""

from __future__ import annotations

import json
import os
import time

from agent.engine.keeper import cgroups, processes

VERSION = 1
RECORD = "record.json"
LAUNCH = "launch.json"
SERVICE_LOCK = "service.lock"
LIVE_STATES = ("starting", "running", "backoff", "stopping")
EVENT_BYTES = 4000

# A false constant of this name is true to a type checker: importing typing would cost a megabyte.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def wall_time() -> str:
    """Return now as ISO 8601 in UTC with microseconds."""
    nanoseconds = time.time_ns()
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06d}+00:00"


def write_atomically(path: str, content: bytes) -> None:
    """Replace a file so that a reader or a power cut sees the old or the new one, never a part."""
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_object(path: str) -> Json | None:
    """Return the JSON object of a file, None when there is no file; ValueError when it is no object."""
    try:
        with open(path, "rb") as stream:
            content = json.loads(stream.read())
    except FileNotFoundError:
        return None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a JSON object")
    return content


def fresh(launch: Json) -> Json:
    """Return the record of an instance that never ran."""
    return {
        "version": VERSION, "instance": launch["instance"], "service": launch["service"],
        "boot_id": processes.boot_id(), "state": "starting", "start_id": "",
        "keeper_pid": 0, "keeper_ticks": 0, "pid": 0, "ticks": 0, "session": 0, "restarts": 0, "generation": 0,
        "failures": [], "quick_exits": 0, "last_exit": None, "started_at": None,
        "started_monotonic": 0.0, "ready": False, "limits_by": "none", "cgroups": {}, "lost_bytes": 0,
        "digest": launch["digest"], "fields": launch["fields"], "files": launch["files"],
        "address": launch["address"],
    }  # fmt: skip


def _is_whole(record: Json) -> bool:
    numbers = ("version", "keeper_pid", "keeper_ticks", "pid", "ticks", "restarts", "generation", "quick_exits")
    return (
        all(isinstance(record.get(name), int) for name in numbers)
        and all(isinstance(record.get(name), str) for name in ("boot_id", "state", "digest"))
        and all(isinstance(record.get(name), dict) for name in ("fields", "files", "cgroups"))
        and isinstance(record.get("failures"), list)
        and isinstance(record.get("started_monotonic"), (int, float))
    )


def load(directory: str, launch: Json, tag: str) -> Json | None:
    """Return the instance's record; a corrupt one is put aside and rebuilt from what runs."""
    path = os.path.join(directory, RECORD)
    try:
        record = read_object(path)
        if record is None:
            return _rebuilt(directory, launch, tag)
        if _is_whole(record):
            return record
    except ValueError:
        pass
    quarantine(path)
    return _rebuilt(directory, launch, tag)


def _rebuilt(directory: str, launch: Json, tag: str) -> Json | None:
    leader = processes.find_leader(tag, os.path.join(directory, SERVICE_LOCK))
    if leader is None:
        return None
    record = fresh(launch)
    record["state"] = "running"
    record["ready"] = launch["ready_line"] is None
    record["pid"], record["ticks"] = leader
    record["session"] = leader[0]
    name, slug = tag.rsplit("@", 1)
    record["cgroups"] = cgroups.joined_by(leader[0], slug, name)
    record["started_monotonic"] = leader[1] / os.sysconf("SC_CLK_TCK")
    return record


def quarantine(path: str) -> str:
    """Move an unreadable file aside under the first free number and return its new name."""
    number = 1
    while os.path.exists(f"{path}.corrupt-{number}"):
        number += 1
    try:
        os.rename(path, f"{path}.corrupt-{number}")
    except FileNotFoundError:
        pass  # another reader was quicker
    return f"{path}.corrupt-{number}"


def append_event(path: str, event: Json) -> None:
    """Append one event as one line; a full disk loses the event, never the service."""
    line = json.dumps(event, separators=(",", ":")).encode()
    if len(line) >= EVENT_BYTES:
        event = {**event, "cause": str(event.get("cause", ""))[:300], "detail": {"cut": str(event["detail"])[:1000]}}
        line = json.dumps(event, separators=(",", ":")).encode()[: EVENT_BYTES - 1]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)
    except OSError:
        pass
