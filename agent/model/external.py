"""What the system needs but does not run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from agent.model.check import FORBID
from agent.model.units import Duration, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """An outside service at `url` (http, https or tcp://host:port): checked, never restarted.

    `credential_secret` is sent in `credential_header`; 401 and 403 then mean that the credential is refused.
    `used_by` names the services that are degraded while it fails.
    """

    __pydantic_config__ = FORBID

    url: str
    headers: dict[str, Text] = field(default_factory=dict)
    credential_secret: str | None = None
    credential_header: str = "Authorization"
    used_by: tuple[str, ...] = ()
    interval: Duration = timedelta(minutes=1)
    timeout: Duration = timedelta(seconds=10)
