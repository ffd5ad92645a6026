"""Look at what the system needs but does not run, each at its interval; nothing is ever restarted for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.errors import AgentError
from agent.model.external import External
from agent.system.reach import Destination, Reached, Step, reach

if TYPE_CHECKING:
    from agent.operations.stack import Stack

_PATIENCE_SECONDS = 30.0
"""Beyond its own timeouts: a name server that never answers holds the thread for longer than any of them."""
_FIRST_SECONDS = 2.0

Tell = Callable[..., None]


class Externals:
    """The outside services of one stack, and what was seen of each."""

    def __init__(self, tell: Tell) -> None:
        self.seen: dict[str, Reached] = {}
        self.since: dict[str, datetime] = {}
        self._tell = tell
        self._wanted: dict[str, External] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def replace(self, stack: Stack) -> None:
        """Look at exactly these; one whose definition is the same keeps what was seen."""
        wanted = stack.desired.settings.externals
        for name in [name for name in self._tasks if wanted.get(name) != self._wanted.get(name)]:
            self._tasks.pop(name).cancel()
            self.seen.pop(name, None)
        self._wanted = dict(wanted)
        for name, external in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._run(name, external, stack))

    def down(self) -> dict[str, str]:
        """Return the ones that cannot be used, each with the step that fails and its words."""
        return {name: f"{seen.step}: {seen.detail}" for name, seen in self.seen.items() if not seen.is_good}

    def describe(self) -> list[dict[str, object]]:
        """Return what `status` shows of them."""
        return [
            {
                "name": name,
                "status": "unknown" if name not in self.seen else "passing" if self.seen[name].is_good else "critical",
                "step": self.seen[name].step if name in self.seen else None,
                "detail": self.seen[name].detail if name in self.seen else "",
                "since": self.since[name].isoformat(timespec="seconds") if name in self.since else None,
                "used_by": list(external.used_by),
            }
            for name, external in self._wanted.items()
        ]

    async def close(self) -> None:
        """Look no more."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, name: str, external: External, stack: Stack) -> None:
        await asyncio.sleep(random.uniform(0, _FIRST_SECONDS))
        try:
            destination = destination_of(stack, external)
        except AgentError as error:
            self._take(name, external, Reached(step=Step.CREDENTIAL, detail=f"{error.message}: {error.hint}"))
            return
        while True:
            looking = asyncio.ensure_future(asyncio.to_thread(reach, destination))
            done, _ = await asyncio.wait({looking}, timeout=external.timeout.total_seconds() * 3 + _PATIENCE_SECONDS)
            if not done:
                self._take(name, external, Reached(step=Step.DNS, detail="no answer from the name server, no end yet"))
            self._take(name, external, await looking)
            await asyncio.sleep(external.interval.total_seconds())

    def _take(self, name: str, external: External, now: Reached) -> None:
        before = self.seen.get(name)
        self.seen[name] = now
        if before is not None and before.step is now.step:
            return
        self.since[name] = datetime.now(UTC)
        if before is None and now.is_good:
            return
        kind = "external-up" if now.is_good else "external-down"
        users = f", used by {', '.join(external.used_by)}" if external.used_by else ""
        self._tell(kind, service=name, cause=f"{now.step}{users}", detail=now.detail)


def destination_of(stack: Stack, external: External) -> Destination:
    """Return where to look, with the credential filled in; raise AgentError when its secret is not set."""
    headers = dict(external.headers)
    if external.credential_secret is not None:
        secret = stack.around.secrets.get(external.credential_secret)
        if secret is None:
            hint = f"refnet-agent secret set {external.credential_secret}"
            raise AgentError(f"the secret {external.credential_secret} is not set", hint=hint)
        headers[external.credential_header] = secret.reveal()
    return Destination(url=external.url, headers=headers, timeout=external.timeout.total_seconds())
