"""Trouble that people are told of, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from agent.model.check import FORBID
from agent.model.notify import Severity
from agent.model.units import Duration


class NoticeKind(StrEnum):
    """Why a notice is sent."""

    OPENED = "opened"
    WORSE = "worse"
    FLAPPING = "flapping"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    MAINTENANCE = "maintenance"
    DEPLOY = "deploy"
    PERIODIC = "periodic"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPolicy:
    """When trouble becomes an incident, and when it is over.

    It opens after trouble for `after`, is over when all was well for `calm`, and flaps when it opened `flapping` times
    within `window`: then one notice says so, and the next one comes when all was well for `flapping_calm`.
    """

    __pydantic_config__ = FORBID

    after: Duration = timedelta(seconds=10)
    calm: Duration = timedelta(seconds=30)
    flapping: int = 4
    window: Duration = timedelta(hours=1)
    flapping_calm: Duration = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong now with the root of it, and which services only suffer from it."""

    subject: str
    severity: Severity
    symptom: str
    affected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The memory of one subject's trouble; the moments are monotonic seconds, `opened` None while nobody was told.

    `since` is when the trouble began, `seen` when it was last there, `opens` when it opened of late, `cause` the
    nearest cause that was found, `opened_at` the wall time for people.
    """

    subject: str
    severity: Severity
    symptom: str
    since: float
    seen: float
    id: str = ""
    affected: tuple[str, ...] = ()
    opened: float | None = None
    opened_at: str = ""
    cause: str = ""
    flapping: bool = False
    opens: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notice that is due; its words are not found yet."""

    kind: NoticeKind
    incident: Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is sent; `key` is the same however often it is sent, so that a receiver can drop what it has."""

    key: str
    kind: NoticeKind
    severity: Severity
    subject: str
    title: str
    text: str
    at: str
    stack: str = ""
    incident: str = ""
    affected: tuple[str, ...] = ()
