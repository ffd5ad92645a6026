"""What an engine is asked to run (`Launch`) and what it says it runs (`ObservedInstance`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class InstanceState(StrEnum):
    """Where one running copy is in its life; `complete` is a one-shot that ended well."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who the instance runs as: numeric ids, resolved before launch."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRestart:
    """The restart policy as the keeper needs it; seconds, `delay` None = automatic back-off."""

    attempts: int = 10
    interval: float = 600.0
    delay: float | None = None
    mode: str = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchLimits:
    """Limits of the whole process tree; None = no limit."""

    memory_bytes: int | None = None
    cpu_shares: int | None = None
    processes: int | None = None
    open_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything an engine needs to run one instance; absolute paths, no secret values.

    `secret_environment` maps a variable to the file that holds its value: the keeper reads it at each start.
    `fields` is the fingerprint (field name → value or digest) whose change replaces the instance,
    `files` (path → digest) the rendered files whose change may be reloaded; `digest` covers both.
    Unless `whole_tree`, only the main process ends with the instance, not what it started: the daemon starts keepers.
    `image` is the id of the image to run `command` in; `container` the name of what then must be removed at the end.
    `writable` are the folders it may write to where the engine can forbid all others; empty: no such list is kept.
    `reopens_output`: it opens /dev/stdout by name, as nginx does, so its output has to be a pipe.
    `watchdog` is how often, in seconds, it reports to a service manager that it lives.
    `log_path` is appended to and rotated by the keeper; `ready_line` is a plain text looked for in the output.
    """

    instance: str
    service: str
    command: tuple[str, ...]
    directory: str
    environment: dict[str, str] = field(default_factory=dict)
    secret_environment: dict[str, str] = field(default_factory=dict)
    user: User | None = None
    umask: int = 0o077
    oneshot: bool = False
    whole_tree: bool = True
    image: str = ""
    container: str | None = None
    writable: tuple[str, ...] = ()
    reopens_output: bool = False
    watchdog: float | None = None
    success_exit_codes: tuple[int, ...] = (0,)
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    reload_signal: str | None = None
    restart: LaunchRestart = LaunchRestart()
    limits: LaunchLimits = LaunchLimits()
    log_path: str
    log_max_bytes: int = 10 * 1024 * 1024
    log_files: int = 5
    ready_line: str | None = None
    address: str | None = None
    digest: str
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: exactly one of `code` and `signal` is set, or neither when it was not seen."""

    code: int | None = None
    signal: int | None = None
    at: datetime | None = None
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedInstance:
    """One instance as its engine sees it; `fields`, `files`, `digest` come back as they were launched.

    `keeper_alive` is False when the process runs but nobody would restart it: the next apply re-adopts it.
    `memory_bytes` counts the whole tree; `limits_by` is `cgroup2`, `cgroup1` or `none`.
    """

    instance: str
    service: str
    state: InstanceState
    pid: int | None = None
    address: str | None = None
    ready: bool = True
    restarts: int = 0
    started_at: datetime | None = None
    last_exit: Exit | None = None
    keeper_pid: int | None = None
    keeper_alive: bool = True
    digest: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    limits_by: str = "none"

    @property
    def generation(self) -> str:
        """Which start of the instance this is: what was known of the one before says nothing about it."""
        return f"{self.pid}@{self.started_at.isoformat() if self.started_at else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of an instance's output."""

    at: datetime
    instance: str
    text: str
