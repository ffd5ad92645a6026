"""A time in which the operator works on something: checks go on, the daemon keeps its hands off and tells nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Of one service, of the whole host where `service` is empty; `until` None lasts until ended by hand.

    `page`: the gateway answers 503 for it meanwhile. `told`: the one notice about it is in the queue.
    """

    service: str
    reason: str
    since: datetime
    until: datetime | None = None
    page: bool = False
    who: str = ""
    told: bool = False

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        return self.service or "the whole host"

    def covers(self, service: str) -> bool:
        """Return whether the service is in maintenance by it."""
        return self.service in {"", service}
