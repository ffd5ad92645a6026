"""What the system should be, rendered: the input of reconcile and the content of a release."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.model.instance import Launch
from agent.model.service import Service
from agent.model.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """One file of a service; `text` holds placeholders `@{secret:NAME}` or `@{secret:NAME:url}`, never a secret.

    `path` is relative to the service's config folder; `check` is the command that proves it.
    """

    path: str
    text: str
    mode: int = 0o400
    check: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredService:
    """A service with its instances, in slot order, and its files.

    `unavailable` says why this host cannot run it; such a service has no launches.
    `surge` is the extra instance used while a start-first service is replaced.
    """

    service: Service
    launches: tuple[Launch, ...] = ()
    surge: Launch | None = None
    files: tuple[RenderedFile, ...] = ()
    code: str | None = None
    unavailable: str | None = None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The whole system: services in dependency order, and the settings they came from."""

    settings: Settings
    services: tuple[DesiredService, ...] = ()
    job_specs: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> DesiredService | None:
        """Return the service of that name."""
        return next((each for each in self.services if each.name == name), None)
