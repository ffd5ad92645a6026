"""The whole file an operator writes, decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from agent.model.check import FORBID
from agent.model.external import External
from agent.model.incident import IncidentPolicy
from agent.model.notify import Channel
from agent.model.periodic import Periodic
from agent.model.service import Service
from agent.model.units import Duration


class EngineName(StrEnum):
    """What runs the instances."""

    AUTO = "auto"
    PROCESS = "process"
    SYSTEMD = "systemd"
    NOMAD = "nomad"


class RouteAuth(StrEnum):
    """Who checks the caller: the application, our gate, or nobody."""

    APP = "app"
    GATE = "gate"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path prefix of the gateway and where it leads: a service (`to`) or a shared volume (`files`)."""

    __pydantic_config__ = FORBID

    path: str
    to: str | None = None
    files: str | None = None
    auth: RouteAuth = RouteAuth.NONE
    roles: tuple[str, ...] = ()
    strip_prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The one door to the outside."""

    __pydantic_config__ = FORBID

    host: str = "localhost"
    listen: str = "127.0.0.1"
    https: int = 8443
    http: int = 8080
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """An end-to-end test that must pass before a release counts; it runs in the environment of `service`."""

    __pydantic_config__ = FORBID

    name: str
    command: tuple[str, ...]
    service: str
    timeout: Duration = timedelta(seconds=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartBudget:
    """How many restarts for failed checks the whole host may see in an interval; beyond it the daemon waits."""

    __pydantic_config__ = FORBID

    limit: int = 20
    interval: Duration = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """The agent's own process: where it shows metrics (read-only, loopback), and whether there is one at all."""

    __pydantic_config__ = FORBID

    enabled: bool = True
    metrics_port: int = 9470
    restart_budget: RestartBudget = RestartBudget()
    script_checks: int = 2
    events_days: int = 90
    incidents: IncidentPolicy = IncidentPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator wants; nothing in it is checked again after decoding.

    `backup` is accepted and kept as written until backups read it.
    """

    __pydantic_config__ = FORBID

    name: str
    engine: EngineName = EngineName.AUTO
    timezone: str | None = None
    port_offset: int = 0
    services: dict[str, Service] = field(default_factory=dict)
    gateway: Gateway | None = None
    verify: tuple[Verification, ...] = ()
    daemon: Daemon = Daemon()
    externals: dict[str, External] = field(default_factory=dict)
    periodic: dict[str, Periodic] = field(default_factory=dict)
    backup: dict[str, dict[str, Any]] = field(default_factory=dict)
    notify: tuple[Channel, ...] = ()
