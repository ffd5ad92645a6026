"""Scheduled work as it is declared."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from agent.model.check import FORBID
from agent.model.units import Duration, Text


class Task(StrEnum):
    """What is done: a command of a service, a verified backup, or what the catalogue calls a crawl."""

    COMMAND = "command"
    BACKUP = "backup"
    CRAWL = "crawl"


class Overlap(StrEnum):
    """What happens when the last run has not ended."""

    FORBID = "forbid"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """What happens with the moments that were missed."""

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """One piece of scheduled work; `schedule` is cron (five fields, names, @macros) or `every 30m`.

    `service` lends its environment, user and secrets to `command`; `needs` names externals it is held for.
    """

    __pydantic_config__ = FORBID

    schedule: str
    task: Task = Task.COMMAND
    service: str = ""
    command: tuple[str, ...] = ()
    env: dict[str, Text] = field(default_factory=dict)
    timeout: Duration = timedelta(minutes=30)
    overlap: Overlap = Overlap.FORBID
    catch_up: CatchUp = CatchUp.ONCE
    retries: int = 0
    needs: tuple[str, ...] = ()
    enabled: bool = True
