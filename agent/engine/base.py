"""The protocol every engine keeps; one contract suite runs on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.model.instance import Exit, Launch, LogLine, ObservedInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the engine can do on this host."""

    name: str
    survives_reboot: bool
    containers: bool
    limits_by: str


class Engine(Protocol):
    """Run instances; every verb is idempotent and blocks until it is true or raises EngineFailed."""

    def capabilities(self) -> Capabilities:
        """Return what this engine can do here."""
        ...

    def observe(self, service: str | None = None) -> tuple[ObservedInstance, ...]:
        """Return every instance this engine knows, or only the service's, by name.

        One whose keeper died is still seen. Instances are named SERVICE-NUMBER.
        """
        ...

    def start(self, launch: Launch) -> None:
        """Start the instance, re-adopt it when it runs with the same digest, or replace a stopped one."""
        ...

    def stop(self, instance: str, *, cause: str) -> None:
        """Stop the whole tree by the instance's own signal and grace; the record stays as `stopped`."""
        ...

    def restart(self, instance: str, *, cause: str) -> None:
        """Stop and start again, not counted as a failure."""
        ...

    def fail(self, instance: str, *, cause: str) -> None:
        """Count a running instance as failed: stop it its own way, then let its restart policy decide.

        Returns once that is under way. An instance that does not run is left as it is.
        """
        ...

    def update(self, launch: Launch, *, reload: bool) -> None:
        """Take over fingerprint and policies in place, without a restart; then send the reload signal if asked."""
        ...

    def remove(self, instance: str) -> None:
        """Stop if needed and forget the instance; its logs stay."""
        ...

    def logs(self, instance: str, *, lines: int | None, since: datetime | None, follow: bool) -> Iterator[LogLine]:
        """Yield the instance's output in order, the last `lines` of it first."""
        ...

    def run_once(self, launch: Launch, *, timeout: float) -> Exit:
        """Run a one-shot to its end and return how it ended; kills its tree at the timeout (seconds)."""
        ...
