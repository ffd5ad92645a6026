"""Where people are told of trouble."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from agent.model.check import FORBID
from agent.model.units import Duration, Text


class Severity(StrEnum):
    """How grave an incident is, as an on-call list numbers it: P1 wakes somebody, P4 is for the record."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class ChannelType(StrEnum):
    """How a notice travels."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    SMTP = "smtp"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One receiver of notices; secrets are named, never written here.

    It gets notices of severity `least` and graver, at most `per_hour`, and a reminder `remind_every` while an
    incident lasts. A command reads the notice as JSON on its standard input.
    """

    __pydantic_config__ = FORBID

    name: str = ""
    type: ChannelType
    url: str | None = None
    url_secret: str | None = None
    headers: dict[str, Text] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    host: str = "localhost"
    port: int = 25
    starttls: bool = False
    username: str | None = None
    password_secret: str | None = None
    sender: str = ""
    to: tuple[str, ...] = ()
    least: Severity = Severity.P3
    deploys: bool = False
    per_hour: int = 30
    remind_every: Duration = timedelta(hours=4)
    timeout: Duration = timedelta(seconds=10)

    @property
    def title(self) -> str:
        """The channel's name, its type when it has none."""
        return self.name or str(self.type)
