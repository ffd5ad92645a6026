"""The door to systemd: `systemctl` of the system's manager as root, of the user's own manager otherwise."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AgentError, CommandFailed, EngineFailed
from agent.system.command import Completed, find_binary, run

OLDEST_VERSION = 248
_BOOTED = Path("/run/systemd/system")
_LINGER = Path("/var/lib/systemd/linger")
_SECONDS = 30.0
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemctl:
    """One service manager that answers."""

    version: int
    user: bool

    @property
    def directory(self) -> Path:
        """Where units that survive a reboot lie."""
        if not self.user:
            return Path("/etc/systemd/system")
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"

    @property
    def target(self) -> str:
        """The target that starts them at boot."""
        return "default.target" if self.user else "multi-user.target"

    @property
    def lingers(self) -> bool:
        """Whether what it runs goes on without a login."""
        return not self.user or (_LINGER / pwd.getpwuid(os.geteuid()).pw_name).exists()

    def call(self, *words: str, timeout: float = _SECONDS, check: bool = True) -> Completed:
        """Run one verb; raise EngineFailed with systemd's own words."""
        try:
            return run(self.command(*words), timeout=timeout, environment=self.environment(), check=check)
        except CommandFailed as error:
            raise EngineFailed(error.message, hint="see: journalctl -xe, and systemctl list-jobs") from error

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the words of one call."""
        return ("systemctl", *(("--user",) if self.user else ()), "--no-pager", "--no-ask-password", *words)

    def environment(self) -> dict[str, str]:
        """Return what a call needs; a user's manager is found by its runtime folder."""
        found = {**os.environ, "LC_ALL": "C.UTF-8"}
        if self.user:
            found.setdefault("XDG_RUNTIME_DIR", _runtime_folder())
        return found

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the properties of each unit by its name; moments are in UTC with microseconds."""
        if not units:
            return {}
        words = ("show", "--timestamp=us+utc", f"--property={','.join(('Id', *properties))}", "--", *units)
        blocks = self.call(*words).output.strip("\n").split("\n\n")
        found = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks)
        return {each.get("Id", ""): each for each in found}


def find_systemctl() -> Systemctl | str:
    """Return the manager that can be used here, or the reason why there is none."""
    if not _BOOTED.is_dir():
        return "systemd is not what this machine was booted with"
    if find_binary("systemctl") is None:
        return "there is no systemctl"
    user = os.geteuid() != 0
    if user and not (Path(_runtime_folder()) / "systemd" / "private").exists():
        name = pwd.getpwuid(os.geteuid()).pw_name
        return f"user {name} has no service manager of its own (loginctl enable-linger {name})"
    try:
        said = Systemctl(version=0, user=user).call("show", "--property=Version", timeout=_LOOK_SECONDS).output
    except AgentError as error:
        return f"systemd does not answer: {(error.message.splitlines() or ['?'])[-1]}"
    number = re.search(r"\d+", said)
    version = int(number[0]) if number else 0
    if version < OLDEST_VERSION:
        return f"systemd {version} is older than {OLDEST_VERSION}"
    return Systemctl(version=version, user=user)


def _runtime_folder() -> str:
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
