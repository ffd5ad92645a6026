"""A service as the operator and the catalogue declare it, in engine-neutral words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from agent.model.check import FORBID, Check, CheckRestart, CheckType
from agent.model.units import Duration, Size, Text


class ServiceType(StrEnum):
    """`service` runs for ever; `oneshot` runs to its end once per release."""

    SERVICE = "service"
    ONESHOT = "oneshot"


class Condition(StrEnum):
    """What a dependency must have reached before the dependent starts."""

    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"


class OnFailure(StrEnum):
    """What a failed dependency does to a running dependent: nothing, marks it, or restarts it once it is back."""

    IGNORE = "ignore"
    DEGRADE = "degrade"
    RESTART = "restart"


class RestartMode(StrEnum):
    """What happens beyond the attempts: stay down, or wait for the window and go on."""

    FAIL = "fail"
    DELAY = "delay"


class UpdateOrder(StrEnum):
    """Whether the new instance starts before or after the old one stops."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the code comes from; `build` runs once in a copy of it, in its own Python environment."""

    __pydantic_config__ = FORBID

    path: str | None = None
    git: str | None = None
    ref: str = "HEAD"
    build: tuple[str, ...] = ()
    python: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Variables in clear, and the names of secrets to pass as variables."""

    __pydantic_config__ = FORBID

    clear: dict[str, Text] = field(default_factory=dict)
    secret: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """`cpu` in MHz shares as in Nomad, `memory` in MiB; above `memory_restart` an instance is restarted gracefully."""

    __pydantic_config__ = FORBID

    cpu: int | None = None
    memory: Size | None = None
    memory_restart: Size | None = None
    processes: int | None = None
    open_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How often a service that ends is started again, and what follows; no `delay` means automatic back-off."""

    __pydantic_config__ = FORBID

    attempts: int = 10
    interval: Duration = timedelta(minutes=10)
    delay: Duration | None = None
    mode: RestartMode = RestartMode.DELAY


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """How a changed service is replaced and when the new instance counts as good."""

    __pydantic_config__ = FORBID

    order: UpdateOrder = UpdateOrder.STOP_FIRST
    min_healthy_time: Duration = timedelta(seconds=0)
    healthy_deadline: Duration = timedelta(seconds=60)
    auto_revert: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One edge of the dependency graph; `on_failure` says what becomes of the dependent while the other is down."""

    __pydantic_config__ = FORBID

    condition: Condition = Condition.HEALTHY
    on_failure: OnFailure = OnFailure.DEGRADE


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTemplate:
    """A file rendered for the service; `check` proves it with the service's own tool before anything is touched."""

    __pydantic_config__ = FORBID

    template: str
    path: str
    mode: str = "0400"
    check: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A command before the first start; it fills `${TARGET}`, which becomes `creates` only when it succeeded."""

    __pydantic_config__ = FORBID

    command: tuple[str, ...]
    creates: str
    timeout: Duration = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """An idempotent command run once the service is healthy and again whenever the service changed."""

    __pydantic_config__ = FORBID

    command: tuple[str, ...]
    timeout: Duration = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """How to copy a service's content to `${TARGET}` and prove the copy can be read."""

    __pydantic_config__ = FORBID

    command: tuple[str, ...]
    verify: tuple[str, ...]
    timeout: Duration = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A directory that outlives instances and releases; `readers` are services whose users may read it."""

    __pydantic_config__ = FORBID

    path: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a line of output, or of a check, means: the cause in plain words and its fix.

    `blames` names the service the cause lies with when that one fails too.
    """

    __pydantic_config__ = FORBID

    pattern: str
    cause: str
    fix: str
    blames: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service; `name` is filled from its key. Ports map a name to the base number of the first instance.

    `tasks` are commands that periodic work names: the service that has `crawl` is the one a crawl runs beside.
    """

    __pydantic_config__ = FORBID

    name: str = ""
    description: str = ""
    type: ServiceType = ServiceType.SERVICE
    external: str | None = None
    source: Source | None = None
    image: str | None = None
    user: str | None = None
    command: tuple[str, ...] = ()
    directory: str | None = None
    env: Environment = Environment()
    secret_files: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    files: tuple[FileTemplate, ...] = ()
    variables: dict[str, Text] = field(default_factory=dict)
    prepare: tuple[Preparation, ...] = ()
    provision: tuple[Provision, ...] = ()
    dump: Dump | None = None
    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    migrates: str | None = None
    pending: tuple[str, ...] = ()
    backward_compatible: bool = False
    resources: Resources = Resources()
    checks: tuple[Check, ...] = ()
    startup_check: Check | None = None
    check_restart: CheckRestart = CheckRestart(grace=timedelta(seconds=30), ignore_warnings=True)
    ready_line: str | None = None
    restart: RestartPolicy = RestartPolicy()
    update: UpdatePolicy = UpdatePolicy()
    depends_on: dict[str, Dependency] = field(default_factory=dict)
    replicas: Annotated[int, "0 keeps the definition and runs nothing"] = 1
    singleton: bool = False
    protected: bool = False
    kill_signal: str = "SIGTERM"
    kill_timeout: Duration = timedelta(seconds=10)
    reload_signal: str | None = None
    success_exit_codes: tuple[int, ...] = (0,)
    timeout: Annotated[Duration, "how long a one-shot may run before it is stopped"] = timedelta(hours=2)
    exports: dict[str, str] = field(default_factory=dict)
    generated_secrets: tuple[str, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    upstream: bool = False
    scrape: str | None = None
    diagnose: tuple[Signature, ...] = ()

    @property
    def is_oneshot(self) -> bool:
        """Whether the service runs to its end."""
        return self.type is ServiceType.ONESHOT

    @property
    def takes_pushes(self) -> bool:
        """Whether somebody pushes results of a check from outside."""
        return any(check.type is CheckType.TTL for check in self.checks)

    @property
    def slots(self) -> int:
        """How many instance numbers, and so ports, the service may use at once while it is replaced."""
        surge = 1 if self.update.order is UpdateOrder.START_FIRST and not self.singleton else 0
        return self.replicas + surge
