"""One stack in the hands of a use case: its home, its engine, what is desired, and who listens to progress."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.engine.base import Engine
from agent.model.desired import Desired, DesiredService
from agent.model.home import Home
from agent.model.instance import ObservedInstance
from agent.model.settings import Settings
from agent.render.launch import CodeVersion, Surroundings, variables
from agent.render.substitute import substitute
from agent.security.secret import Secret, fill, generate, placeholders
from agent.system.secret_store import SecretStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One sentence about one service, for whoever watches: `state` is a word such as starting, healthy, failed."""

    service: str
    state: str
    detail: str = ""
    done: bool = False


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything an operation needs; `base` is the folder that relative sources start from.

    `interrupted` is set when the operator wants to leave: whoever waits stops waiting and leaves what runs running.
    """

    home: Home
    engine: Engine
    desired: Desired
    around: Surroundings
    base: Path
    tell: Listener = field(default=lambda progress: None)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def code_version(self, service: DesiredService) -> CodeVersion | None:
        """Return the code version the rendered service stands for."""
        if service.code is None:
            return None
        environment = service.launches[0].fields.get("environment") if service.launches else None
        return CodeVersion(digest=service.code, environment=environment)

    def variables(self, service: DesiredService, *, number: int = 1) -> dict[str, str]:
        """Return every `${NAME}` of one instance."""
        return variables(service.service, self.around, number=number, code=self.code_version(service))

    def seen(self, service: str) -> dict[str, ObservedInstance]:
        """Return the service's instances as they are now, by name."""
        return {each.instance: each for each in self.engine.observe(service)}


def default_home(given: str | None) -> Home:
    """Return the home: the one given, else REFNET_HOME, else the system's as root, else the user's state folder."""
    if chosen := given or os.environ.get("REFNET_HOME"):
        return Home(root=Path(chosen).resolve())
    if os.geteuid() == 0:
        return Home(root=Path("/var/lib/refnet-agent"))
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Home(root=Path(state) / "refnet-agent")


def secret_values(settings: Settings, home: Home, store: SecretStore) -> dict[str, Secret]:
    """Return the stored secrets and, where all they need is set, the exports made of them."""
    values = dict(store.values)
    around = Surroundings(settings=settings, home=home)
    for name, text in export_texts(settings, around).items():
        if name not in values and all(needed in values for needed in placeholders(text)):
            values[name] = fill(text, values)
    return values


def export_texts(settings: Settings, around: Surroundings) -> dict[str, str]:
    """Return what services export, with placeholders for secrets; an external service exports its own address."""
    texts: dict[str, str] = {}
    for service in settings.services.values():
        names = variables(service, around, number=1, code=None)
        for name, text in service.exports.items():
            where = f"services.{service.name}.exports.{name}"
            texts[name] = service.external or substitute(text, names, where=where)
    return texts


def with_generated(settings: Settings, store: SecretStore) -> SecretStore:
    """Return the store with every secret the catalogue generates, the same store when none is missing."""
    wanted = {name for service in settings.services.values() for name in service.generated_secrets}
    missing = {name: generate() for name in sorted(wanted - store.values.keys())}
    return SecretStore(key=store.key, values={**store.values, **missing}) if missing else store
