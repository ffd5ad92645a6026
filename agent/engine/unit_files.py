"""The units of one home on disk: each carries its launch, so that what runs says itself what it is."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.errors import EngineFailed
from agent.model.home import Home
from agent.model.instance import Launch
from agent.system.files import write_atomic

_SECTION = "[X-Refnet]"
_LAUNCH = "Launch="
_SUM = "Sum="
# Called after every end of the main process, before systemd decides on a restart.
_NOTE_EXIT = """\
#!/bin/sh
# FOLDER INSTANCE SERVICE: remember how the instance ended; systemd forgets it at the next start.
at=$(date -u +%Y-%m-%dT%H:%M:%S.%6N+00:00)
printf '%s %s %s %s\\n' "$at" "$SERVICE_RESULT" "${EXIT_CODE:-none}" "${EXIT_STATUS:-none}" > "$1/exit.new"
mv "$1/exit.new" "$1/exit"
printf '{"at": "%s", "kind": "exited", "service": "%s", "instance": "%s", "who": "systemd", "cause": "%s %s"}\\n' \\
    "$at" "$3" "$2" "${EXIT_CODE:-unknown}" "${EXIT_STATUS:-}" >> "${1%/*/*}/events.jsonl"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUnit:
    """A unit as it lies on disk; not `intact` when somebody edited it."""

    launch: Launch
    intact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """Units, what starts them at boot, and the small files beside: `environment`, `exit`, `stopped`."""

    home: Home
    directory: Path
    target: str

    def name(self, instance: str) -> str:
        """Return the unit's name; raise EngineFailed for a name that would lead elsewhere."""
        if not instance or "/" in instance or instance.startswith("."):
            raise EngineFailed(f"{instance!r} cannot be the name of an instance")
        return f"refnet-{self.home.identity}-{instance}.service"

    def path(self, instance: str) -> Path:
        """Return where the unit lies."""
        return self.directory / self.name(instance)

    def folder(self, instance: str) -> Path:
        """Return the folder of the small files."""
        return self.home.instances / instance

    def instances(self) -> list[str]:
        """Return the names of every instance that has a unit."""
        prefix = f"refnet-{self.home.identity}-"
        found = self.directory.glob(f"{prefix}*.service")
        return sorted(path.name.removeprefix(prefix).removesuffix(".service") for path in found)

    def read(self, instance: str) -> StoredUnit | None:
        """Return what the unit says, None when there is none; one without its launch equals no desired one."""
        try:
            text = self.path(instance).read_text(errors="replace")
        except FileNotFoundError:
            return None
        body, _, ours = text.partition(_SECTION)
        values = dict(line.split("=", 1) for line in ours.splitlines() if "=" in line)
        try:
            launch = msgspec.json.decode(values[_LAUNCH[:-1]].encode(), type=Launch)
        except (KeyError, msgspec.MsgspecError):
            return StoredUnit(launch=self._stand_in(instance), intact=False)
        return StoredUnit(launch=launch, intact=values.get(_SUM[:-1]) == _sum(body))

    def write(self, launch: Launch, body: str) -> None:
        """Write the unit and the environment it reads; the manager has to be told."""
        folder = self.folder(launch.instance)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (note := self.home.instances / "note-exit").exists() or note.read_text() != _NOTE_EXIT:
            write_atomic(note, _NOTE_EXIT, mode=0o700)
        self.write_environment(launch)
        body += "\n"
        record = msgspec.json.encode(launch).decode()
        text = f"{body}{_SECTION}\n# Written by refnet-agent: an edit shows in its plan, and is undone.\n"
        # The launch names files of secrets, never their values; commands may be private all the same.
        write_atomic(self.path(launch.instance), f"{text}{_SUM}{_sum(body)}\n{_LAUNCH}{record}\n", mode=0o600)

    def write_environment(self, launch: Launch) -> None:
        """Write the secrets as they are now, for the manager's eyes only."""
        lines = []
        for name, path in launch.secret_environment.items():
            value = Path(path).read_text().removesuffix("\n")
            escaped = value.translate({ord(each): f"\\{each}" for each in '\\"`$'})
            lines.append(f'{name}="{escaped}"\n')
        if lines:
            write_atomic(self.folder(launch.instance) / "environment", "".join(lines), mode=0o600)

    def delete(self, instance: str) -> None:
        """Remove the unit, its link and its small files."""
        self.disable(instance)
        self.path(instance).unlink(missing_ok=True)
        folder = self.folder(instance)
        for name in ("environment", "exit", "exit.new", "stopped"):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()

    def enable(self, instance: str) -> None:
        """Have it started at boot, and forget that it was stopped."""
        link = self._link(instance)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(self.path(instance))
        (self.folder(instance) / "stopped").unlink(missing_ok=True)

    def disable(self, instance: str) -> None:
        """Have it stay down at boot."""
        self._link(instance).unlink(missing_ok=True)

    def mark_stopped(self, instance: str) -> None:
        """Remember that its end is wanted, whatever systemd calls it."""
        self.folder(instance).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder(instance) / "stopped").touch(mode=0o600)

    def is_stopped(self, instance: str) -> bool:
        """Return whether its end was wanted."""
        return (self.folder(instance) / "stopped").exists()

    def _link(self, instance: str) -> Path:
        return self.directory / f"{self.target}.wants" / self.name(instance)

    def _stand_in(self, instance: str) -> Launch:
        return Launch(
            instance=instance,
            service=instance.rpartition("-")[0],
            command=("/bin/false",),
            directory="/",
            log_path=str(self.home.logs / f"{instance}.log"),
            digest="lost",
            fields={"unit": "edits by hand that took out what it runs"},
        )


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
