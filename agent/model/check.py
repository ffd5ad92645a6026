"""Health checks as they are declared, with Consul's field names and meanings, and the verdicts they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from agent.model.units import Duration, Text

FORBID: dict[str, Any] = {"extra": "forbid"}


class Status(StrEnum):
    """The verdict of a check, and the worst of them for an instance."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


class CheckType(StrEnum):
    """How a check tests a service; `ttl` is pushed from outside, `alias` follows another service."""

    HTTP = "http"
    TCP = "tcp"
    UDP = "udp"
    SCRIPT = "script"
    TTL = "ttl"
    DOCKER = "docker"
    ALIAS = "alias"
    OS_SERVICE = "os_service"
    GRPC = "grpc"
    H2PING = "h2ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRule:
    """A value the JSON body of an http check must hold; `path` is dotted."""

    __pydantic_config__ = FORBID

    path: str
    equals: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRestart:
    """When failing checks restart an instance, as Nomad's stanza: after `limit` intervals in a row, not before `grace`.

    `limit: 0` never restarts; warnings count as failures unless ignored.
    """

    __pydantic_config__ = FORBID

    limit: int = 3
    grace: Duration = timedelta(seconds=10)
    ignore_warnings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """A check flaps when at least `bad` of its last `of` results were bad and it kept changing."""

    __pydantic_config__ = FORBID

    bad: int = 4
    of: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One health test.

    `target` is the service an alias follows, or the container of a docker check; `unit` the systemd unit of an
    os_service check. A `shared` script runs once for all instances whose command, environment and user are the same.
    """

    __pydantic_config__ = FORBID

    name: str = ""
    type: CheckType
    path: str = "/"
    port: str = ""
    method: str = "GET"
    body: str = ""
    disable_redirects: bool = False
    command: tuple[str, ...] = ()
    target: str = ""
    unit: str = ""
    grpc_service: str = ""
    ttl: Duration | None = None
    interval: Duration = timedelta(seconds=10)
    timeout: Duration = timedelta(seconds=2)
    tls: bool = False
    headers: dict[str, Text] = field(default_factory=dict)
    body_match: str | None = None
    json: BodyRule | None = None
    output_max_size: int = 4096
    shared: bool = False
    success_before_passing: int = 0
    failures_before_warning: int | None = None
    failures_before_critical: int = 0
    check_restart: CheckRestart | None = None
    flapping: Flapping = Flapping()

    @property
    def title(self) -> str:
        """The check's name, or what it does; unique within its service."""
        if self.name:
            return self.name
        match self.type:
            case CheckType.HTTP:
                return f"http {self.path}"
            case CheckType.SCRIPT | CheckType.DOCKER:
                return " ".join((self.type, *self.command[:2]))
            case _:
                return " ".join(word for word in (self.type, self.port or self.target or self.unit) if word)
